//! The wire format of blocks.

use fhe_core::block::{BlockHeader, BlockKind, HEADER_BYTES};

use super::fixtures::{fill, modules};
use crate::Target;

/// A block that is read is what its header, sealed again, makes of its payload.
pub(super) fn target() -> Target {
    let kinds = [
        BlockKind::Activations,
        BlockKind::Results,
        BlockKind::Bodies,
        BlockKind::BodyResults,
        BlockKind::Sums,
    ];
    let mut seeds = Vec::new();
    for module in modules() {
        for kind in kinds {
            for records in [1, 63, 65] {
                seeds.push(module.block(kind, records));
            }
        }
        seeds.push(module.block(BlockKind::MaskOrder, 0));
        seeds.push(module.block(BlockKind::MaskResults, 0));
    }
    let leveled = BlockHeader::of_leveled(3, 64, [8; 32], [9; 16], 2, 40, 1);
    seeds.push(fill(&leveled));
    seeds.push(fill(&BlockHeader::of_leveled_results(&leveled, 5)));
    Target {
        name: "block",
        share: 185,
        seeds,
        most_bytes: (1, 4096),
        check: Box::new(|input| {
            let Ok((header, payload)) = BlockHeader::parse(input) else {
                return false;
            };
            assert_eq!(header.payload_bytes(), payload.len(), "{header:?}");
            if !header.kind.is_leveled() {
                // What reads a payload goes by its panels and features.
                let layout = header.layout();
                assert!(layout.mask.panels() <= payload.len(), "{header:?}");
                assert!(layout.bodies.panels() <= payload.len(), "{header:?}");
            }
            let mut sealed = vec![0; HEADER_BYTES];
            sealed.extend_from_slice(payload);
            header.seal(&mut sealed);
            assert!(sealed == input, "{header:?}");
            true
        }),
    }
}
