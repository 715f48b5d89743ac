//! What reads foreign bytes.

mod blocks;
mod circuits;
mod decryption;
mod evaluation;
mod fixtures;
mod keys;
mod leveled;
mod lookups;
mod specs;
mod sums;

use crate::Target;

/// All targets. Together their shares are 1000.
pub fn all() -> Vec<Target> {
    let targets = vec![
        blocks::target(),
        circuits::packed(),
        circuits::lookups(),
        keys::client_key(),
        keys::public_key(),
        keys::evaluation_key(),
        sums::target(),
        evaluation::plain(),
        evaluation::re_randomised(),
        decryption::results(),
        decryption::sums(),
        decryption::ahead(),
        lookups::results(),
        lookups::evaluation(),
        leveled::circuit_file(),
        leveled::key(),
        leveled::evaluation(),
        leveled::results(),
        specs::modules(),
        specs::windows(),
    ];
    debug_assert_eq!(targets.iter().map(|t| t.share).sum::<u32>(), 1000);
    targets
}
