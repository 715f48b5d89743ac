//! Some neighbouring features of a body on their way out, each panel's in one piece and whole lines of the cache.
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

/// Room for [`STAGED_FEATURES`] features of some panels.
pub(crate) struct Staging {
    limbs: usize,
    /// `[panel][STAGED_FEATURES][limbs]`; a narrow panel is padded.
    planes: AVec<Plane>,
}

impl Staging {
    /// Room for so many panels.
    pub(crate) fn new(panels: usize, limbs: usize) -> Self {
        Staging {
            limbs,
            planes: avec![[0; PANEL_ROWS]; panels * STAGED_FEATURES * limbs],
        }
    }

    /// Planar limbs `[limbs][64]` of a panel of a staged feature.
    #[inline(always)]
    pub(crate) fn planes_mut(&mut self, panel: usize, staged: usize) -> &mut [Plane] {
        let limbs = self.limbs;
        &mut self.planes[(panel * STAGED_FEATURES + staged) * limbs..][..limbs]
    }

    /// Moves `count` staged features of some panels, from `first_panel` of the payload on, to the front of their
    /// places, and past them; their checksums take what is written.
    pub(crate) fn store(
        &self,
        layout: PanelLayout,
        first_panel: usize,
        places: &mut [&mut [u8]],
        checksums: &mut [Checksum],
        count: usize,
    ) {
        for (panel, (place, checksum)) in places.iter_mut().zip(checksums).enumerate() {
            let width = layout.panel_width(first_panel + panel);
            let (out, rest) = std::mem::take(place).split_at_mut(count * self.limbs * width);
            *place = rest;
            let planes = &self.planes[panel * STAGED_FEATURES * self.limbs..];
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
