//! A few neighbouring features of a payload, each panel's in one piece and whole lines of the cache.
//!
//! In a payload the panels of a feature lie far apart, those of neighbouring features side by side. Moving
//! several features at a time keeps memory traffic in long runs.

use aligned_vec::{AVec, avec};
use fhe_core::checksum::Checksum;
use fhe_core::panel::{PANEL_ROWS, PanelLayout};

use crate::cache;
use crate::planes::Plane;

/// Features moved together.
pub(crate) const STAGED_FEATURES: usize = 16;

/// Room for [`STAGED_FEATURES`] features of a payload.
pub(crate) struct Staging {
    layout: PanelLayout,
    /// `[panel][STAGED_FEATURES][limbs]`; a narrow panel is padded.
    planes: AVec<Plane>,
}

impl Staging {
    /// No room yet.
    pub(crate) fn new() -> Self {
        Staging {
            layout: PanelLayout {
                rows: 0,
                features: 0,
                limbs: 0,
            },
            planes: avec![],
        }
    }

    /// Makes room for features of a payload of this layout.
    pub(crate) fn reset(&mut self, layout: PanelLayout) {
        let planes = layout.panels() * STAGED_FEATURES * layout.limbs;
        self.planes.resize(planes, [0; PANEL_ROWS]);
        self.layout = layout;
    }

    /// Planar limbs `[limbs][64]` of a panel of a staged feature.
    #[inline(always)]
    pub(crate) fn planes(&self, panel: usize, staged: usize) -> &[Plane] {
        let limbs = self.layout.limbs;
        &self.planes[(panel * STAGED_FEATURES + staged) * limbs..][..limbs]
    }

    /// The same, to be written.
    #[inline(always)]
    pub(crate) fn planes_mut(&mut self, panel: usize, staged: usize) -> &mut [Plane] {
        let limbs = self.layout.limbs;
        &mut self.planes[(panel * STAGED_FEATURES + staged) * limbs..][..limbs]
    }

    /// Copies `count` features from feature `first` on from the payload; the checksums, one for each panel,
    /// take what is read.
    pub(crate) fn load(
        &mut self,
        payload: &[u8],
        checksums: &mut [Checksum],
        first: usize,
        count: usize,
    ) {
        let layout = self.layout;
        for (panel, checksum) in checksums.iter_mut().enumerate() {
            let width = layout.panel_width(panel);
            let start = layout.feature_range(panel, first).start;
            let source = &payload[start..][..count * layout.limbs * width];
            checksum.update(source);
            let planes = &mut self.planes[panel * STAGED_FEATURES * layout.limbs..];
            if width == PANEL_ROWS {
                planes.as_flattened_mut()[..source.len()].copy_from_slice(source);
            } else {
                for (plane, source) in planes.iter_mut().zip(source.chunks_exact(width)) {
                    plane[..width].copy_from_slice(source);
                }
            }
        }
    }

    /// Has a share of what `load` will read on its way to the cache: `share` is one of [`STAGED_FEATURES`].
    pub(crate) fn prefetch(&self, payload: &[u8], first: usize, count: usize, share: usize) {
        let layout = self.layout;
        for panel in (share..layout.panels()).step_by(STAGED_FEATURES) {
            let start = layout.feature_range(panel, first).start;
            let bytes = count * layout.limbs * layout.panel_width(panel);
            cache::prefetch(&payload[start..][..bytes]);
        }
    }

    /// Moves `count` staged features to the front of the places given, one for each panel, and past them;
    /// the checksums, one for each panel, take what is written.
    pub(crate) fn store(&self, panels: &mut [&mut [u8]], checksums: &mut [Checksum], count: usize) {
        let layout = self.layout;
        for (panel, (place, checksum)) in panels.iter_mut().zip(checksums).enumerate() {
            let width = layout.panel_width(panel);
            let (out, rest) = std::mem::take(place).split_at_mut(count * layout.limbs * width);
            *place = rest;
            let planes = &self.planes[panel * STAGED_FEATURES * layout.limbs..];
            if width == PANEL_ROWS {
                let bytes = &planes.as_flattened()[..out.len()];
                checksum.update(bytes);
                cache::copy_past(bytes, out);
            } else {
                for (out, plane) in out.chunks_exact_mut(width).zip(planes) {
                    out.copy_from_slice(&plane[..width]);
                }
                checksum.update(out);
            }
        }
    }
}
