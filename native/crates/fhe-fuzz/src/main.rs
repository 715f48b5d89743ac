//! `fuzz`: gives every target its share of so many mutated inputs, and says what was found.
//!
//! Each target runs in a process of its own, which notes the number of an input before it reads it: what ends the
//! process is found that way. Inputs that do are saved as regression inputs.

use std::error::Error;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use fhe_fuzz::{CountedAllocator, Mutator, Target};

#[global_allocator]
static ALLOCATOR: CountedAllocator = CountedAllocator;

const HELP: &str = "\
usage: fuzz [--inputs N] [--target NAME] [--run NUMBER] [--jobs N]

  --inputs N     mutated inputs of all targets together (10000000)
  --target NAME  this target alone, all inputs for it
  --run NUMBER   another number gives other inputs, the same number the same (the time)
  --jobs N       targets at a time (one a core)
";
/// An input that takes longer is a finding.
const LONGEST: Duration = Duration::from_secs(20);
/// A target that has so many findings is given up.
const MOST_FINDINGS: usize = 10;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    match run() {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("fuzz: {error}");
            ExitCode::from(2)
        }
    }
}

/// Gives the number of findings.
fn run() -> Outcome<usize> {
    let mut arguments = pico_args::Arguments::from_env();
    if arguments.contains(["-h", "--help"]) {
        print!("{HELP}");
        return Ok(0);
    }
    let inputs = arguments
        .opt_value_from_str("--inputs")?
        .unwrap_or(10_000_000);
    let only: Option<String> = arguments.opt_value_from_str("--target")?;
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed()?.as_secs();
    let run = arguments.opt_value_from_str("--run")?.unwrap_or(now);
    let cores = std::thread::available_parallelism()?.get();
    let jobs: usize = arguments.opt_value_from_str("--jobs")?.unwrap_or(cores);
    let journal: Option<PathBuf> = arguments.opt_value_from_str("--journal")?;
    let first = arguments.opt_value_from_str("--first")?.unwrap_or(0);
    if let [unknown, ..] = &arguments.finish()[..] {
        return Err(format!("unknown argument {unknown:?}\n{HELP}").into());
    }
    let mut targets = fhe_fuzz::all();
    if let Some(name) = &only {
        targets.retain(|target| target.name == name);
        if targets.is_empty() {
            return Err(format!("there is no target {name:?}").into());
        }
    }
    if let Some(journal) = journal {
        read_inputs(&targets[0], run, first..inputs, &File::create(journal)?)?;
        return Ok(0);
    }

    println!("fuzz: {inputs} inputs, run {run}");
    println!(
        "{:<24} {:>10} {:>10} {:>9} {:>9}",
        "target", "inputs", "accepted", "seconds", "findings"
    );
    let folder = std::env::temp_dir().join(format!("fhe-fuzz-{}", std::process::id()));
    let start = Instant::now();
    let shares: u64 = targets.iter().map(|target| u64::from(target.share)).sum();
    let work: Vec<_> = targets
        .iter()
        .map(|target| Job {
            name: target.name,
            seeds: &target.seeds,
            inputs: inputs * u64::from(target.share) / shares,
            run,
            folder: &folder,
        })
        .collect();
    fs::create_dir_all(&folder)?;
    let next = AtomicUsize::new(0);
    let findings = Mutex::new(Ok(0));
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                while let Some(job) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let found = job.supervise();
                    let mut findings = findings.lock().expect("no thread panics");
                    match (&mut *findings, found) {
                        (Ok(all), Ok(found)) => *all += found,
                        (findings, found) => *findings = found,
                    }
                }
            });
        }
    });
    fs::remove_dir_all(&folder)?;
    let findings = findings.into_inner().expect("no thread panics")?;
    let total: u64 = work.iter().map(|job| job.inputs).sum();
    println!(
        "{:<24} {total:>10} {:>10} {:>9.1} {findings:>9}",
        "all",
        "",
        start.elapsed().as_secs_f64()
    );
    Ok(findings)
}

/// Inputs of one target.
struct Job<'a> {
    name: &'a str,
    seeds: &'a [Vec<u8>],
    inputs: u64,
    run: u64,
    /// Of journals.
    folder: &'a Path,
}

impl Job<'_> {
    /// Runs the target in a process, and again behind what ended it; gives the number of findings.
    fn supervise(&self) -> Outcome<usize> {
        let start = Instant::now();
        let journal = self.folder.join(self.name);
        let (mut first, mut findings, mut accepted) = (0, 0, 0);
        while first < self.inputs && findings < MOST_FINDINGS {
            let status = Command::new(std::env::current_exe()?)
                .args(["--target", self.name])
                .args(["--run", &self.run.to_string()])
                .args(["--first", &first.to_string()])
                .args(["--inputs", &self.inputs.to_string()])
                .arg("--journal")
                .arg(&journal)
                .stdin(Stdio::null())
                .status()?;
            let [number, accepted_here] = read_journal(&journal)?;
            accepted += accepted_here;
            if status.success() {
                break;
            }
            findings += 1;
            let path = self.save(number)?;
            println!(
                "{}: input {number} of run {}: {status}, kept as {}",
                self.name,
                self.run,
                path.display()
            );
            first = number + 1;
        }
        println!(
            "{:<24} {:>10} {accepted:>10} {:>9.1} {findings:>9}",
            self.name,
            self.inputs,
            start.elapsed().as_secs_f64()
        );
        Ok(findings)
    }

    fn save(&self, number: u64) -> Outcome<PathBuf> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("regressions")
            .join(self.name);
        fs::create_dir_all(&folder)?;
        let path = folder.join(format!("finding-{}-{number}", self.run));
        fs::write(&path, Mutator::new(self.seeds, self.run).input(number))?;
        Ok(path)
    }
}

/// The number of the last input, and how many were accepted.
fn read_journal(path: &Path) -> Outcome<[u64; 2]> {
    let mut words = [[0; 8]; 2];
    let mut journal = File::open(path)?;
    journal.read_exact(&mut words[0])?;
    // Not written yet if the first input was the last.
    let _ = journal.read_exact(&mut words[1]);
    Ok(words.map(u64::from_le_bytes))
}

/// Reads inputs until one ends the process.
fn read_inputs(
    target: &Target,
    run: u64,
    numbers: std::ops::Range<u64>,
    journal: &File,
) -> Outcome<()> {
    let mut mutator = Mutator::new(&target.seeds, run);
    let current = &AtomicU64::new(numbers.start);
    let is_done = &AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| watch(current, is_done));
        let _done = Done(is_done);
        let mut accepted = 0u64;
        for number in numbers {
            journal.write_all_at(&number.to_le_bytes(), 0)?;
            current.store(number, Ordering::Relaxed);
            accepted += u64::from(target.run(mutator.input(number)));
            journal.write_all_at(&accepted.to_le_bytes(), 8)?;
        }
        Ok(())
    })
}

/// Lets the watch go, even if an input panics.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Ends the process if an input takes too long.
fn watch(current: &AtomicU64, is_done: &AtomicBool) {
    let (mut last, mut since) = (current.load(Ordering::Relaxed), Instant::now());
    while !is_done.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(20));
        let number = current.load(Ordering::Relaxed);
        if number != last {
            (last, since) = (number, Instant::now());
        } else if since.elapsed() > LONGEST {
            eprintln!("fuzz: input {number} takes more than {LONGEST:?}");
            std::process::abort();
        }
    }
}
