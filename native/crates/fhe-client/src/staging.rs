//! A few neighbouring features of a payload, each in one piece.
//!
//! In a payload the panels of a feature lie far apart, those of neighbouring features side by side. Moving
//! several features at a time keeps memory traffic in long runs.

use fhe_core::panel::PanelLayout;

/// Features moved together.
pub(crate) const STAGED_FEATURES: usize = 16;

/// Room for [`STAGED_FEATURES`] features of a payload.
pub(crate) struct Staging {
    layout: PanelLayout,
    /// `[STAGED_FEATURES][rows · limbs]`.
    bytes: Vec<u8>,
}

impl Staging {
    /// Room for features of a payload of this layout.
    pub(crate) fn new(layout: PanelLayout) -> Self {
        Staging {
            layout,
            bytes: vec![0; STAGED_FEATURES * layout.rows * layout.limbs],
        }
    }

    /// Copies features from `first` on from the payload.
    pub(crate) fn load(&mut self, payload: &[u8], first: usize) {
        self.each_run(first, |run, staged, bytes| {
            bytes[staged].copy_from_slice(&payload[run]);
        });
    }

    /// Copies features from `first` on to the payload.
    pub(crate) fn store(&mut self, payload: &mut [u8], first: usize) {
        self.each_run(first, |run, staged, bytes| {
            payload[run].copy_from_slice(&bytes[staged]);
        });
    }

    fn each_run(
        &mut self,
        first: usize,
        mut copy: impl FnMut(std::ops::Range<usize>, std::ops::Range<usize>, &mut [u8]),
    ) {
        let end = self.layout.features.min(first + STAGED_FEATURES);
        for panel in 0..self.layout.panels() {
            for feature in first..end {
                let staged = self.range(panel, feature - first);
                copy(
                    self.layout.feature_range(panel, feature),
                    staged,
                    &mut self.bytes,
                );
            }
        }
    }

    /// Planar limbs `[limbs][panel width]` of a panel of a staged feature.
    #[inline(always)]
    pub(crate) fn planes(&self, panel: usize, staged: usize) -> &[u8] {
        &self.bytes[self.range(panel, staged)]
    }

    /// The same, to be written.
    #[inline(always)]
    pub(crate) fn planes_mut(&mut self, panel: usize, staged: usize) -> &mut [u8] {
        let range = self.range(panel, staged);
        &mut self.bytes[range]
    }

    #[inline(always)]
    fn range(&self, panel: usize, staged: usize) -> std::ops::Range<usize> {
        let one = PanelLayout {
            features: 1,
            ..self.layout
        };
        let range = one.panel_range(panel);
        let offset = staged * one.bytes();
        offset + range.start..offset + range.end
    }
}
