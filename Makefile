# make test    the tests that need no recompiled image, in three minutes; installs nothing
# make demo    set up, build, recompile a Debian image and run a script in it
# make check   set up, recompile the Debian image, and a part of it with the backend wasm, too, and run all tests
BUILD  ?= build
IMAGE  ?= $(BUILD)/debian
PREFIX ?= /usr/local

all: $(BUILD)/build.ninja
	ninja -C $(BUILD)

deps:
	tools/install-deps.sh check

$(BUILD)/build.ninja:
	tools/install-deps.sh demo
	meson setup --prefix=$(PREFIX) --libdir=lib $(BUILD)

# What tests and the backend wasm need; a tree that was set up without them finds them now.
$(BUILD)/for-tests: $(BUILD)/build.ninja tools/install-deps.sh
	tools/install-deps.sh check
	meson setup --reconfigure $(BUILD)
	touch $@

image: all
	tools/make-image.sh $(IMAGE)

# The Debian image, recompiled; by way of WebAssembly, too; for processors of level x86-64-v3.
artifact: image
	$(BUILD)/src/cli/ingot build --cache $(BUILD)/cache $(IMAGE) -o $(BUILD)/debian.ingot

artifact-wasm: $(BUILD)/for-tests image
	$(BUILD)/src/cli/ingot build --backend wasm --cache $(BUILD)/cache $(IMAGE) -o $(BUILD)/debian-wasm.ingot

# What `make check` has of it: the part of the image that the program table's quick cases and the terminal's tests run.
artifact-part: $(BUILD)/for-tests image
	tools/make-part.py $(IMAGE) $(BUILD)/debian-part tests/programs/table.txt tests/programs/terminal.py
	$(BUILD)/src/cli/ingot build --cache $(BUILD)/cache $(BUILD)/debian-part -o $(BUILD)/debian-part.ingot
	$(BUILD)/src/cli/ingot build --backend wasm --cache $(BUILD)/cache $(BUILD)/debian-part -o $(BUILD)/debian-part-wasm.ingot

artifact-v3: image
	$(BUILD)/src/cli/ingot build --cpu x86-64-v3 --cache $(BUILD)/cache $(IMAGE) -o $(BUILD)/debian-v3.ingot

demo: artifact
	tests/demo.sh $(BUILD)/debian.ingot

# The vkernel under ASan and UBSan: $(BUILD)-san/tests/vkernel/vk-dev (docs/testing.md).
sanitized: $(BUILD)-san/build.ninja
	ninja -C $(BUILD)-san tests/vkernel/vk-dev

$(BUILD)-san/build.ninja:
	tools/install-deps.sh check
	CC=clang-19 meson setup $(BUILD)-san -Db_sanitize=address,undefined -Db_lundef=false -Ddebug_checks=true

# The vkernel under ThreadSanitizer: $(BUILD)-tsan/tests/vkernel/vk-dev, and programs on it, on two processors.
tsan: $(BUILD)-tsan/build.ninja
	ninja -C $(BUILD)-tsan tests/vkernel/vk-dev
	tests/vkernel/tsan.py $(BUILD)-tsan/tests/vkernel/vk-dev $(TSAN)

$(BUILD)-tsan/build.ninja:
	tools/install-deps.sh check
	CC=clang-19 meson setup $(BUILD)-tsan -Db_sanitize=thread -Db_lundef=false -Ddebug_checks=true

# Builds what is not built; another name for it is check-quick.
test check-quick:
	tests/quick.sh $(BUILD)

check: $(BUILD)/for-tests artifact artifact-part
	tests/check.sh $(BUILD) quick

check-long: $(BUILD)/for-tests artifact artifact-wasm
	tools/install-deps.sh check-long
	tests/check.sh $(BUILD) long

bench: $(BUILD)/for-tests artifact artifact-v3
	bench/run.py --build $(BUILD)

# Random sequences of instructions, on the processor and in every execution; FUZZ has the oracle's options (docs/testing.md).
fuzz-insn: FUZZ ?= --sequences=1000000 --share 10 --seed time
fuzz-insn: LEVEL ?= v2
fuzz-insn: $(BUILD)/for-tests all
	ninja -C $(BUILD) tests/eval/helpers.wasm
	$(BUILD)/tests/eval/oracle --level $(LEVEL) --progress --executions evaluator,aot,v8,direct \
	    --v8 tests/node.sh,tests/eval/v8/execution.mjs,$(BUILD)/tests/eval/helpers.wasm $(FUZZ)

# Random programs of system calls on the sanitized vkernel; FUZZ has the driver's options (docs/testing.md).
fuzz-syscalls: FUZZ ?= --calls 10000000 --seed time
fuzz-syscalls: sanitized
	fuzz/syscalls/run.sh $(BUILD)-san --corpus fuzz/corpus/syscalls --found $(BUILD)-san/found $(FUZZ)

# The same at full speed: without sanitizers, the guest recompiled.
fuzz-syscalls-fast: FUZZ ?= --calls 100000000 --seed time
fuzz-syscalls-fast: $(BUILD)/for-tests all
	fuzz/syscalls/recompiled.sh $(BUILD) --corpus fuzz/corpus/syscalls --found $(BUILD)/found $(FUZZ)

install: all
	meson install -C $(BUILD)

clean:
	rm -rf $(BUILD)

# Each target uses all processors itself.
.NOTPARALLEL:

.PHONY: all deps test check-quick image artifact artifact-part artifact-v3 artifact-wasm demo sanitized tsan check check-long bench fuzz-insn fuzz-syscalls fuzz-syscalls-fast install clean
