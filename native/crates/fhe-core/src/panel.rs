//! The layout of ciphertext rows, in memory and on the wire: panels of planar limbs.
//!
//! Rows come in panels of 64, `[rows/64][feature][limb][64]`, limb 0 the least significant. The last
//! panel is as wide as the rows that remain, so a payload is exactly rows·features·limbs bytes.

/// Rows of a full panel.
pub const PANEL_ROWS: usize = 64;

/// Where entries lie in a payload of `rows × features` entries of `limbs` bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PanelLayout {
    /// Ciphertext rows.
    pub rows: usize,
    /// Features (columns).
    pub features: usize,
    /// Bytes of an entry.
    pub limbs: usize,
}

impl PanelLayout {
    /// Payload length in bytes.
    pub fn bytes(&self) -> usize {
        self.rows * self.features * self.limbs
    }

    /// Number of panels, the narrow one at the end included.
    pub fn panels(&self) -> usize {
        self.rows.div_ceil(PANEL_ROWS)
    }

    /// Rows of panel `panel`.
    pub fn panel_width(&self, panel: usize) -> usize {
        (self.rows - panel * PANEL_ROWS).min(PANEL_ROWS)
    }

    /// Bytes of panel `panel` in the payload.
    pub fn panel_range(&self, panel: usize) -> std::ops::Range<usize> {
        let start = panel * PANEL_ROWS * self.features * self.limbs;
        start..start + self.panel_width(panel) * self.features * self.limbs
    }

    /// Bytes of `feature` in panel `panel`: `[limbs][panel_width]`.
    pub fn feature_range(&self, panel: usize, feature: usize) -> std::ops::Range<usize> {
        let bytes = self.panel_width(panel) * self.limbs;
        let start = self.panel_range(panel).start + feature * bytes;
        start..start + bytes
    }
}
