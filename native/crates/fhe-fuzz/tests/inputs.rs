//! Past findings, and some thousand mutated inputs a target; `make fuzz` runs millions.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use fhe_fuzz::{CountedAllocator, Mutator, Target, all};

#[global_allocator]
static ALLOCATOR: CountedAllocator = CountedAllocator;

/// Inputs of all targets together.
const INPUTS: u64 = 300_000;

/// Gives whether the input was accepted.
fn run(target: &Target, input: &[u8], what: &str) -> bool {
    let outcome = catch_unwind(AssertUnwindSafe(|| target.run(input)));
    outcome.unwrap_or_else(|_| panic!("{}: {what}", target.name))
}

fn regressions() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions")
}

#[test]
fn past_findings_are_read_without_a_crash() {
    let targets = all();
    let mut known = 0;
    for target in &targets {
        let Ok(files) = fs::read_dir(regressions().join(target.name)) else {
            continue;
        };
        for file in files {
            let path = file.unwrap().path();
            run(
                target,
                &fs::read(&path).unwrap(),
                &path.display().to_string(),
            );
            known += 1;
        }
    }
    // Every folder is a target's.
    let kept = fs::read_dir(regressions()).unwrap().flatten();
    let kept = kept.filter_map(|folder| fs::read_dir(folder.path()).ok());
    assert_eq!(kept.map(Iterator::count).sum::<usize>(), known);
}

#[test]
fn mutated_inputs_are_read_without_a_crash() {
    for target in all() {
        let mut mutator = Mutator::new(&target.seeds, 1);
        let count = INPUTS * u64::from(target.share) / 1000;
        let mut accepted = 0;
        for number in 0..count {
            let what = format!("input {number} of run 1");
            let is_accepted = run(&target, mutator.input(number), &what);
            assert!(is_accepted || number > 0, "{}: its first seed", target.name);
            let is_mutated = number >= target.seeds.len() as u64;
            accepted += u64::from(is_accepted && is_mutated);
        }
        // Otherwise nothing of what comes after the checksums was reached.
        assert!(
            accepted * 50 > count,
            "{}: {accepted} of {count}",
            target.name
        );
    }
}
