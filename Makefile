# fhe-spark: `make demo` and `make test` do all set-up themselves. Needs JDK 17, Maven, Rust >= 1.91 and Python 3.11.

MVN ?= mvn -B -ntp
CARGO ?= cargo

.PHONY: build native dist notebooks demo bench bench-scale bench-micro soak test test-rust test-rust-slow test-java test-pages test-docs test-sanitizer test-all fuzz fuzz-native fuzz-java fuzz-sanitizer lint format clean

## build: the native library and the jar, with the Spark libraries it runs on beside it
build: native
	$(MVN) -q package -DskipTests

## native: the Rust library
native:
	$(CARGO) build --release --locked --manifest-path native/Cargo.toml

## dist: build/fhe-spark-VERSION.tar.gz, which runs on a Spark distribution without Maven and Rust
dist: native
	$(MVN) -q -Pdist package -DskipTests
	dist/build

## notebooks: runs the notebooks without a browser; what they show is then in build/notebooks/executed
notebooks: build
	bin/notebook --execute

## demo: compiles the digits model, makes keys, scores every image in three modes and compares
demo: build
	examples/digits/demo

## bench: encrypted layers against clear ones and other libraries, one table of ratios; and MiniLM end to end
bench: native
	$(MVN) -q -Pbench package -DskipTests
	bench/layers
	bench/spark
	bench/latency
	bench/lookups
	bench/engines
	bench/minilm

## bench-scale: a million flights and fewer, on embedded Spark and on two workers: time a record, memory, a plot
bench-scale: native
	$(MVN) -q -Pbench package -DskipTests
	bench/scale

SOAK_MINUTES ?= 60

## soak: SOAK_MINUTES of repeated scoring in one JVM, some runs failing; fails if heap, native memory, threads or files grow
soak: native
	$(MVN) -q -Pbench package -DskipTests
	bench/soak $(SOAK_MINUTES)

## bench-micro: what `bench` is made of, in absolute figures of this machine: kernels and client on their own
## (criterion), and what crossing JNI and Arrow costs (JMH)
bench-micro: native
	$(CARGO) bench --locked --manifest-path native/Cargo.toml -p fhe-server -p fhe-client
	$(MVN) -q -Pbench package -DskipTests
	bench/crossing

## test: all tests but the slow ones
test: test-rust test-java test-pages

test-rust: native
	FHE_SPARK_PYTHON=$$(bin/python-env oracle native/oracle/requirements.txt) \
	  $(CARGO) test --release --locked --manifest-path native/Cargo.toml

test-java: native
	$(MVN) verify

## test-sanitizer: the Rust tests under AddressSanitizer, every kernel among them (emulated AMX too); memory that there
## is not is to be refused to the code that asks, not to end the test
test-sanitizer:
	ASAN_OPTIONS=allocator_may_return_null=1 RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address $(CARGO) test --release --locked --manifest-path native/Cargo.toml \
	  --target x86_64-unknown-linux-gnu --target-dir native/target/sanitizer \
	  -p fhe-core -p fhe-server -p fhe-client -p fhe-leveled --lib --test exactness --test noise --test networks

## test-rust-slow: the Rust tests that take minutes: noise and failures over many bootstraps, hostile records in thousands of
## blocks
test-rust-slow:
	$(CARGO) test --release --locked --manifest-path native/Cargo.toml -p fhe-client --test lookups -- --ignored
	$(CARGO) test --release --locked --manifest-path native/Cargo.toml -p fhe-leveled --test adversarial -- --ignored

## test-pages: that links between pages lead somewhere, and that each message of an error is explained
test-pages:
	PYTHONPATH=docs/test $$(bin/python-env docs docs/test/requirements.txt) -m pytest -q -p no:cacheprovider docs/test/test_pages.py

PAGES = README.md CONTRIBUTING.md CHANGELOG.md SECURITY.md docs

## test-docs: runs every block of README and docs, and checks the links between them; PAGES=docs/export.md for one page.
## PyTorch for the exports takes 12 GB of disk, what S3A is made of one; needs nginx, age and Buildah (Debian: apt-get install
## nginx-light age buildah)
test-docs: demo
	PYTHONPATH=docs/test $$(bin/python-env docs docs/test/requirements.txt) -m pytest -p pages -p no:cacheprovider -rs $(PAGES)

## test-all: the slow ones too (standalone Spark cluster, drivers and executors killed, whole models remote, MiniLM, SmolLM2,
## report.html in a browser, what `make dist` packs, the notebooks, a short soak), the pages' blocks, and the sanitizer's.
## PyTorch for SmolLM2's export takes 6 GB of disk, the notebooks' environment one; needs Chromium and its driver (Debian:
## apt-get install chromium chromium-driver), on the path or named by FHE_SPARK_TEST_CHROMIUM and FHE_SPARK_TEST_CHROMEDRIVER,
## and what test-docs needs
test-all: test-rust test-rust-slow test-sanitizer dist
	examples/remote-models/demo mlp 50
	examples/remote-models/demo deep 20
	examples/remote-models/demo gelu 40
	examples/remote-models/demo cnn 20
	examples/minilm/demo 60 remote
	FHE_SPARK_TEST_DISTRIBUTION=$$(ls -t $(CURDIR)/build/fhe-spark-*.tar.gz | head -n 1) \
	FHE_SPARK_TEST_REPORTS=$(CURDIR)/build/minilm/linears/model/report.html \
	FHE_SPARK_TEST_SPARK_HOME=$$(bin/python-env spark spark-jobs/src/test/python/requirements.txt \
	  | sed 's|bin/python$$|lib/python3.11/site-packages/pyspark|') \
	  $(MVN) verify -Dall.tests
	bin/notebook --execute
	examples/smollm2/demo $$(examples/smollm2/prepare) 4 10 16
	$(MAKE) test-docs
	$(MAKE) soak SOAK_MINUTES=3

FUZZ_INPUTS ?= 10000000

## fuzz: hostile inputs to every parser of files and blocks. A finding is kept as a regression input, which all tests
## read; FUZZ_RUN=NUMBER gives the inputs of that run again
fuzz: fuzz-native fuzz-java

## fuzz-native: FUZZ_INPUTS for the native parsers, 10 million if not given
fuzz-native: native
	native/target/release/fuzz --inputs $(FUZZ_INPUTS) $(if $(FUZZ_RUN),--run $(FUZZ_RUN))

FUZZ_SANITIZER_INPUTS ?= 2000000

## fuzz-java: FUZZ_JAVA_INPUTS hostile headers, states and waves, artefacts and models for each Java parser
FUZZ_JAVA_INPUTS ?= 20000
fuzz-java: native
	$(MVN) -q -pl spark-jobs -am verify -Dtest='*FuzzTest' -Dsurefire.failIfNoSpecifiedTests=false \
	  -Dfuzz.inputs=$(FUZZ_JAVA_INPUTS) $(if $(FUZZ_RUN),-Dfuzz.run=$(FUZZ_RUN))

## fuzz-sanitizer: some of these inputs under AddressSanitizer, with arithmetic that overflows reported too
fuzz-sanitizer:
	RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address $(CARGO) build --release --locked --manifest-path native/Cargo.toml \
	  --target x86_64-unknown-linux-gnu --target-dir native/target/sanitizer -p fhe-fuzz \
	  $(foreach crate,fhe-core fhe-client fhe-server fhe-leveled,--config profile.release.package.$(crate).overflow-checks=true)
	ASAN_OPTIONS=allocator_may_return_null=1 native/target/sanitizer/x86_64-unknown-linux-gnu/release/fuzz \
	  --inputs $(FUZZ_SANITIZER_INPUTS) $(if $(FUZZ_RUN),--run $(FUZZ_RUN))

## lint: formatting, clippy, the warnings of javac and rustdoc, comments of public items, shell and Python syntax, and the files in conf/
lint:
	$(CARGO) fmt --manifest-path native/Cargo.toml --all --check
	$(CARGO) clippy --release --locked --manifest-path native/Cargo.toml --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --release --locked --no-deps --manifest-path native/Cargo.toml
	$(MVN) -q -Pbench spotless:check
	$(MVN) -q checkstyle:check
	$(MVN) -q -Pbench test-compile -Denforcer.skip
	for script in bin/* bench/layers bench/spark bench/latency bench/lookups bench/engines bench/minilm bench/crossing bench/cost-model bench/scale bench/soak .ci/run \
	  examples/*/demo examples/text/libraries examples/smollm2/prepare dist/build; do bash -n $$script; done
	python3 -m compileall -q native/oracle examples spark-jobs/src/test/python bench/peers bench/lookup-peers compiler/src/test/python \
	  conf/lint docs/test dist
	bin/lint-conf

## format: formats everything that lint checks
format:
	$(CARGO) fmt --manifest-path native/Cargo.toml --all
	$(MVN) -q -Pbench spotless:apply

clean:
	$(MVN) -q clean
	$(CARGO) clean --manifest-path native/Cargo.toml
	rm -rf build
