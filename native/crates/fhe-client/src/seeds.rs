//! The seeds that a mask and its noise are expanded from.

use fhe_core::Result;
use fhe_core::mask::{MaskSeed, MaskStream};
use fhe_core::parameters::PackedParameters;
use zeroize::Zeroizing;

use fhe_core::random::{NoiseStream, fill_from_os};

/// What a mask's randomness comes from; never used for another.
pub(crate) struct Seeds {
    mask: MaskSeed,
    /// On the heap, so that moving it leaves no copy behind.
    noise: Box<Zeroizing<[u8; 16]>>,
}

impl Seeds {
    /// Fresh ones.
    pub(crate) fn from_os() -> Result<Self> {
        let mut seeds = Seeds {
            mask: [0; 16],
            noise: Box::new(Zeroizing::new([0; 16])),
        };
        fill_from_os(&mut seeds.mask)?;
        fill_from_os(&mut **seeds.noise)?;
        Ok(seeds)
    }

    /// Known ones, to compare what is made of them.
    #[cfg(test)]
    pub(crate) fn known(mask: MaskSeed, noise: [u8; 16]) -> Self {
        Seeds {
            mask,
            noise: Box::new(Zeroizing::new(noise)),
        }
    }

    /// The mask's, which is public.
    pub(crate) fn mask(&self) -> &MaskSeed {
        &self.mask
    }

    /// The mask.
    pub(crate) fn mask_stream(&self, parameters: &PackedParameters) -> MaskStream {
        MaskStream::new(&self.mask, parameters)
    }

    /// The noise of its bodies.
    pub(crate) fn noise_stream(&self, bound_log2: u32) -> NoiseStream {
        NoiseStream::new(&self.noise, bound_log2)
    }
}
