//! Sums of blocks.

use fhe_core::block::{BlockHeader, BlockKind};
use fhe_server::{add_to_sum, start_sum};

use super::fixtures::{module_for_sums, modules};
use crate::Target;

/// Sums that are made are blocks, and one that a block does not fit is as it was.
pub(super) fn target() -> Target {
    let module = module_for_sums();
    let mut seeds: Vec<_> = [1, 5, 64]
        .into_iter()
        .flat_map(|records| {
            [BlockKind::Results, BlockKind::Sums].map(|kind| module.block(kind, records))
        })
        .collect();
    seeds.push(modules()[0].block(BlockKind::Results, 2));
    let sum = start_sum(&seeds[2]).expect("a block of results");
    Target {
        name: "sum",
        share: 60,
        seeds,
        most_bytes: (1, 1 << 18),
        check: Box::new(move |input| {
            let mut started = sum.clone();
            match add_to_sum(&mut started, input) {
                Ok(()) => {
                    let (header, _) = BlockHeader::parse(&started).expect("a sum");
                    assert!(header.summands <= header.max_summands);
                }
                Err(_) => assert!(started == sum),
            }
            let Ok(mut started) = start_sum(input) else {
                return false;
            };
            let (header, _) = BlockHeader::parse(&started).expect("a sum");
            let doubled = add_to_sum(&mut started, input);
            assert_eq!(doubled.is_ok(), 2 * header.summands <= header.max_summands);
            BlockHeader::parse(&started).expect("a sum");
            true
        }),
    }
}
