# Tracker: see README.md for the commands, docs/architecture.md for the layout.
#
#   make            build into build/ (programs in build/bin)
#   make run        install what is missing, build, start a front-end with an embedded Redis
#   make test       install what is missing, build, run every test
#   make test-acl   every test again, with Redis as the users of docker/redis-acl.conf; ARGS='--filter REGEX'
#   make test-workers  the integration tests again, with two workers in each front-end; ARGS='--filter REGEX'
#   make asan       every test again, under the address and undefined-behaviour sanitizers
#   make chaos      seeded faults of all kinds; ARGS='--seeds 100', '--seed 7', '--scenario clocks --jobs 2'
#   make conformance  the protocols against their documents, also by npm's ws client
#   make fuzz       each fuzzer for FUZZ_TIME seconds (60)
#   make lint       formatting, static analysis, include table, sizes, names, numbers in documents
#   make bench      the documented measurements, as a table
#   make replay OLD=BUILD  a session of every protocol against that build and this one, compared byte by byte
#   make bench-check  counts that do not depend on the machine's speed, against the stored ones;
#                   ARGS=--update stores them: a commit that does says why
#   make install    programs, man pages, library, systemd unit under DESTDIR/PREFIX
#   make clean
#   V=1 shows the compiler's commands; test, asan and bench pass ARGS on: ARGS='--filter unit'

MAKEFLAGS += --no-builtin-rules
SHELL := /bin/sh
# Where install-packages puts redis-server, and Debian administrators' programs, added to any PATH.
export PATH := $(PATH):/usr/local/bin:/usr/sbin:/sbin
# V=1 shows the commands; else what each one makes: "CC net/conn.c"; make -s shows neither.
VERBOSE := $(filter-out 0,$(V))
SILENT := $(findstring s,$(filter-out --%,$(firstword -$(MAKEFLAGS))))
Q = $(if $(VERBOSE),,@)
say = $(if $(VERBOSE)$(SILENT),,@printf '  %-4s %s\n' $(1) $(2))
# What the commands below build first: on all processors, unless -j said how many.
BUILD = $(MAKE) --no-print-directory $(if $(filter -j% --jobserver%,$(MAKEFLAGS)),,-j$(shell nproc))
PREFIX ?= /usr/local
CC = gcc
OPT ?= -O2
B ?= build
SANITIZE ?=

VERSION := $(shell cat .version)
TABLE := tests/lint/packages
PACKAGES := $(shell awk '$$1 == "package" { print $$2 }' $(TABLE))
PROGRAMS := $(shell awk '$$1 == "program" { print $$2 }' $(TABLE))
allowed = $(shell awk -v n=$(1) '($$1 == "package" || $$1 == "program") && $$2 == n { for (i = 3; i <= NF; i++) print $$i }' $(TABLE))
reverse = $(if $(1),$(call reverse,$(wordlist 2,$(words $(1)),$(1))) $(firstword $(1)))

WARN := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
        -Wwrite-strings -Wvla -Wformat=2 -Wno-unused-parameter
CFLAGS_ALL = -std=c11 -D_GNU_SOURCE $(OPT) -g -fno-strict-aliasing -fno-omit-frame-pointer \
             -fstack-protector-strong -D_FORTIFY_SOURCE=$(if $(SANITIZE),0,2) $(WARN) $(SANITIZE) $(CFLAGS)
LIBS := -levent_core -lhiredis -lcjson -linih -lssl -lcrypto -lhttp_parser -lwslay -ljwt -lsodium -lsystemd -lutf8proc -lz -lm
LDFLAGS_ALL = $(SANITIZE) $(LDFLAGS)

# A package's name is its path below pkg/: net, net/http. Its library is net-http; its unit tests
# are in tests/unit/net/http. A folder below a package's is a package of its own, or data.
library = $(B)/lib/lib$(subst /,-,$(1)).a
package_sources = $(wildcard pkg/$(1)/*.c)
LIB_FILES := $(foreach p,$(call reverse,$(PACKAGES)),$(call library,$(p)))
PROGRAM_FILES := $(PROGRAMS:%=$(B)/bin/%)
INCLUDE_DIRS := $(foreach p,$(PACKAGES),build/include/$(p)/$(p))
UNIT_SOURCES := $(foreach p,$(PACKAGES),$(wildcard tests/unit/$(p)/test_*.c))
UNIT_FILES := $(UNIT_SOURCES:tests/unit/%.c=$(B)/unit/%)

.PHONY: all next run test test-acl test-workers asan chaos conformance replay lint fuzz bench bench-check trace install clean deps test-deps unit fuzzers
.SECONDARY:
all: $(PROGRAM_FILES)
	@:

# Each package may be included only by the path build/include/NAME, which is on the command line
# of just those that tests/lint/packages allows: there NAME/x.h is a link to pkg/NAME/x.h, for each
# header of the package and none of the packages below it. A header that has gone is not to be made.
slash_parts = $(subst /, ,$(1))
up = $(subst $() ,/,$(patsubst %,..,$(call slash_parts,build/include/$(1)/$(1))))
define include_rules
build/include/$(1)/$(1): pkg/$(1) Makefile
	@if [ -L $$@ ]; then rm $$@; fi
	@mkdir -p $$@
	@find $$@ -xtype l -delete
	@$(if $(wildcard pkg/$(1)/*.h),ln -sf $(patsubst %,$(up)/%,$(wildcard pkg/$(1)/*.h)) $$@)
	@touch $$@
endef
$(foreach p,$(PACKAGES),$(eval $(call include_rules,$(p))))

SCRIPTS := $(wildcard pkg/schema/scripts/*.lua)
GENERATED := build/gen/schema_scripts_data.h build/gen/admin_web_data.h build/gen/version.h

# Lua scripts become NUL-terminated C arrays named after their files: script_NAME. A script is joined
# from its PARTS; one without PARTS is a single file.
PARTS_apply := prelude formats apply apply_entries apply_judge apply_read users events apply_users apply_rooms \
               apply_registry apply_write
PARTS_repair_entries := prelude formats repair users events repair_entries repair_publish
PARTS_repair_rooms := prelude formats repair users events repair_rooms repair_publish
PARTS_repair_users := prelude formats repair users events repair_users repair_publish
PARTS_hello := prelude formats hello
PARTS_invite := prelude invitations invite
PARTS_presence := prelude presence
PARTS_read := formats events read
PARTS_recount := prelude formats recount
PARTS_shared := prelude shared
PARTS_shared_set := prelude shared_set
PARTS_sweep := prelude formats sweep
PARTS_uninvite := prelude invitations uninvite
JOINED := apply repair_entries repair_rooms repair_users hello invite presence read recount shared shared_set sweep uninvite
SCRIPT_NAMES := $(JOINED) $(filter-out $(foreach s,$(JOINED),$(PARTS_$(s))),$(notdir $(SCRIPTS:.lua=)))
script_files = $(patsubst %,pkg/schema/scripts/%.lua,$(or $(PARTS_$(1)),$(1)))
# $(1): instead of pkg/schema/scripts/formats.lua.
write_scripts = { $(foreach s,$(SCRIPT_NAMES),echo "const char script_$(s)[] = {"; \
	    cat $(patsubst %/formats.lua,$(1),$(call script_files,$(s))) | \
	    od -An -v -tx1 | sed 's/ \([0-9a-f][0-9a-f]\)/0x\1,/g'; echo "0x00};";) } > $@.new && mv $@.new $@
build/gen/schema_scripts_data.h: $(SCRIPTS) Makefile
	@mkdir -p $(@D)
	@$(call write_scripts,pkg/schema/scripts/formats.lua)

# The JavaScript client is served as one module: its parts, in the order of their needs, without the
# imports from one another.
CLIENT_PARTS := $(patsubst %,pkg/admin/web/client/%.js,connection tracker turntable sync)
build/gen/tracker.js: $(CLIENT_PARTS) Makefile
	@mkdir -p $(@D)
	@sed '/^import .* from "\.\//d' $(CLIENT_PARTS) > $@.new && mv $@.new $@

# The page's files become arrays named after them, each as it is and compressed, and a list of them:
# WEB_FILES.
WEB := $(sort $(wildcard pkg/admin/web/*.*)) build/gen/tracker.js
build/gen/admin_web_data.h: $(WEB) pkg/admin/web Makefile
	@mkdir -p $(@D)
	@for f in $(WEB); do \
	    echo "static const unsigned char web_$$(basename $$f | tr .- __)[] = {"; \
	    od -An -v -tx1 $$f | sed 's/ \([0-9a-f][0-9a-f]\)/0x\1,/g'; echo "};"; \
	    echo "static const unsigned char gzip_$$(basename $$f | tr .- __)[] = {"; \
	    gzip -9nc $$f | od -An -v -tx1 | sed 's/ \([0-9a-f][0-9a-f]\)/0x\1,/g'; echo "};"; \
	done > $@.new
	@{ printf '#define WEB_FILES(X)'; for f in $(WEB); do \
	    n=$$(basename $$f | tr .- __); printf ' X("%s", web_%s, gzip_%s)' "$$(basename $$f)" $$n $$n; \
	done; echo; } >> $@.new && mv $@.new $@

build/gen/version.h: .version Makefile
	@mkdir -p $(@D)
	@echo '#define TRACKER_VERSION "$(VERSION)"' > $@

define package_rules
$(patsubst pkg/%.c,$(B)/obj/%.o,$(call package_sources,$(1))): $(B)/obj/%.o: pkg/%.c Makefile $(TABLE) | $(INCLUDE_DIRS) $(GENERATED)
	@mkdir -p $$(@D)
	$$(call say,CC,$$(<:pkg/%=%))
	$$(Q)$(CC) $(CFLAGS_ALL) $(foreach d,$(1) $(call allowed,$(1)),-Ibuild/include/$(d)) -Ibuild/gen -MMD -MP -c -o $$@ $$<
$(call library,$(1)): $(patsubst pkg/%.c,$(B)/obj/%.o,$(call package_sources,$(1)))
	@mkdir -p $$(@D)
	@rm -f $$@
	$$(call say,AR,$$(@F))
	$$(Q)ar rcs $$@ $$^
endef
$(foreach p,$(PACKAGES),$(eval $(call package_rules,$(p))))

define program_rules
$(B)/obj/cmd/$(1)/%.o: cmd/$(1)/%.c Makefile $(TABLE) | $(INCLUDE_DIRS) $(GENERATED)
	@mkdir -p $$(@D)
	$$(call say,CC,$$<)
	$$(Q)$(CC) $(CFLAGS_ALL) $(foreach d,$(call allowed,$(1)),-Ibuild/include/$(d)) -Ibuild/gen -MMD -MP -c -o $$@ $$<
$(B)/bin/$(1): $(patsubst cmd/%.c,$(B)/obj/cmd/%.o,$(wildcard cmd/$(1)/*.c)) $(LIB_FILES)
	@mkdir -p $$(@D)
	$$(call say,LD,$$(@F))
	$$(Q)$(CC) $(LDFLAGS_ALL) -o $$@ $$^ $(LIBS) $$(if $$(filter trackerctl,$(1)),-lncursesw -ltinfo)
endef
$(foreach p,$(PROGRAMS),$(eval $(call program_rules,$(p))))

# Unit tests may include every package: they look behind the headers.
ALL_INCLUDES := $(PACKAGES:%=-Ibuild/include/%) -Ibuild/gen -Itests/unit
UNIT_OBJECTS := $(UNIT_FILES:$(B)/%=$(B)/obj/%.o)
$(UNIT_OBJECTS): $(B)/obj/unit/%.o: tests/unit/%.c Makefile | $(INCLUDE_DIRS) $(GENERATED)
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CFLAGS_ALL) $(ALL_INCLUDES) -MMD -MP -c -o $@ $<
$(UNIT_FILES): $(B)/unit/%: $(B)/obj/unit/%.o $(LIB_FILES)
	@mkdir -p $(@D)
	$(call say,LD,$(@:$(B)/%=%))
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $< $(LIB_FILES) -lcmocka $(LIBS)
unit: $(UNIT_FILES) $(B)/test/clock_shift.so $(B)/test/lockstep_plain.so next
	@:

# The programs of a later release, which also understands a format 2, for the tests of upgrades: their
# package schema is compiled for it, all else is the same.
NEXT := $(B)/test/next
NEXT_FORMATS := tests/harness/next/formats.lua
NEXT_OBJECTS := $(patsubst pkg/schema/%.c,$(NEXT)/obj/%.o,$(call package_sources,schema))
$(NEXT)/gen/schema_scripts_data.h: $(SCRIPTS) $(NEXT_FORMATS) Makefile
	@mkdir -p $(@D)
	@$(call write_scripts,$(NEXT_FORMATS))
$(NEXT_OBJECTS): $(NEXT)/obj/%.o: pkg/schema/%.c $(NEXT)/gen/schema_scripts_data.h Makefile | $(INCLUDE_DIRS) $(GENERATED)
	@mkdir -p $(@D)
	$(call say,CC,test/next/$*.c)
	$(Q)$(CC) $(CFLAGS_ALL) -DTRACKER_NEXT_FORMAT $(foreach d,schema $(call allowed,schema),-Ibuild/include/$(d)) \
	    -I$(NEXT)/gen -Ibuild/gen -MMD -MP -c -o $@ $<
$(NEXT)/libschema.a: $(NEXT_OBJECTS)
	@rm -f $@
	$(Q)ar rcs $@ $^
define next_rules
$(NEXT)/bin/$(1): $(patsubst cmd/%.c,$(B)/obj/cmd/%.o,$(wildcard cmd/$(1)/*.c)) \
    $(LIB_FILES:$(call library,schema)=$(NEXT)/libschema.a)
	@mkdir -p $$(@D)
	$$(call say,LD,test/next/$(1))
	$$(Q)$(CC) $(LDFLAGS_ALL) -o $$@ $$^ $(LIBS) $$(if $$(filter trackerctl,$(1)),-lncursesw -ltinfo)
endef
$(foreach p,trackerd trackerctl,$(eval $(call next_rules,$(p))))
next: $(NEXT)/bin/trackerd $(NEXT)/bin/trackerctl
	@:

# What shifts a program's clock in fault tests. Never sanitized: it is loaded into other programs.
$(B)/test/clock_shift.so: tests/harness/clock_shift.c Makefile
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) -std=c11 $(OPT) $(WARN) -shared -fPIC -o $@ $<

# What counts a front-end's work (tests/bench/check); never sanitized either.
$(B)/test/lockstep.so: SHARED := -shared -fPIC
$(B)/test/lockstep.so $(B)/test/count_calls: $(B)/test/%: tests/bench/counts/lockstep.h Makefile
	@mkdir -p $(@D)
	$(call say,CC,tests/bench/counts/$(basename $(@F)).c)
	$(Q)$(CC) -std=c11 $(OPT) $(WARN) $(SHARED) -o $@ tests/bench/counts/$(basename $(@F)).c
$(B)/test/lockstep.so: tests/bench/counts/lockstep.c
# The same without counting, for tests/conformance/replay.
$(B)/test/lockstep_plain.so: tests/bench/counts/lockstep.c tests/bench/counts/lockstep.h Makefile
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) -std=c11 $(OPT) $(WARN) -DLOCKSTEP_PLAIN -shared -fPIC -o $@ $<
$(B)/test/count_calls: tests/bench/counts/count_calls.c
# What writes down the calls of a front-end that is compiled for it (tests/bench/trace).
$(B)/test/trace.so: tests/bench/counts/trace.c Makefile
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) -std=c11 $(OPT) $(WARN) -shared -fPIC -o $@ $<

# Fuzzers: clang's libFuzzer. The packages are compiled once with its instrumentation, below
# build/fuzz, and each fuzzer is linked with them.
FUZZ_TIME ?= 60
FUZZERS := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
fuzzers: $(FUZZERS:%=$(B)/fuzz_%)
$(B)/fuzz_%: tests/fuzz/fuzz_%.c $(LIB_FILES) Makefile | $(INCLUDE_DIRS) $(GENERATED)
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CFLAGS_ALL) -fsanitize=fuzzer $(ALL_INCLUDES) -MMD -MP $(LDFLAGS_ALL) -o $@ $< $(LIB_FILES) $(LIBS)

deps:
	@docker/install-packages build
# Without its npm packages a test fails, and the others run.
test-deps:
	@docker/install-packages build test
	@tests/conformance/run --install $(B) || echo "the npm packages are missing: the tests that need them will fail" >&2
test: | test-deps
	@$(BUILD) all unit
	@tests/run --build $(B) $(ARGS)
run: | deps
	@$(BUILD) all
	@docker/run-local $(B)/bin/trackerd $(ARGS)
test-acl: | test-deps
	@$(BUILD) all unit
	@TRACKER_TEST_ACL=1 tests/run --build $(B) $(ARGS)
test-workers: | test-deps
	@$(BUILD) all
	@TRACKER_TEST_WORKERS=2 tests/run --build $(B) $(or $(ARGS),--filter ^integration/)
asan: | test-deps
	@$(BUILD) B=build/asan OPT=-O1 \
	    SANITIZE="-fsanitize=address,undefined -fno-sanitize-recover=all" all unit
	@TRACKER_TEST_SCALE=3 tests/run --build build/asan $(ARGS)
chaos: | test-deps
	@$(BUILD) all $(B)/test/clock_shift.so
	@tests/fault/chaos --build $(B) $(ARGS)
conformance: | test-deps
	@$(BUILD) all
	@tests/conformance/run $(B)
replay: | test-deps
	@$(BUILD) all $(B)/test/clock_shift.so $(B)/test/lockstep_plain.so
	@tests/conformance/replay --old "$(OLD)" --new $(B) --tools $(B)/test $(ARGS)
fuzz:
	@docker/install-packages build fuzz
	@$(BUILD) B=build/fuzz CC=clang OPT=-O1 WARN= SANITIZE="-fsanitize=fuzzer-no-link,address,undefined" fuzzers
	@tests/fuzz/run $(FUZZ_TIME) $(FUZZERS)
lint:
	@docker/install-packages build lint
	@$(BUILD) $(INCLUDE_DIRS) $(GENERATED)
	@tests/lint/run
bench:
	@docker/install-packages build bench
	@$(BUILD) all
	@tests/bench/run $(ARGS)
bench-check:
	@docker/install-packages build counts
	@$(BUILD) all $(B)/test/lockstep.so $(B)/test/count_calls
	@tests/bench/check --build $(B) --compiler "$(CC)" $(ARGS)
trace:
	@docker/install-packages build
	@$(BUILD) $(B)/test/trace.so $(B)/test/lockstep_plain.so
	@$(BUILD) B=build/trace OPT=-O0 \
	    SANITIZE="-finstrument-functions -finstrument-functions-exclude-file-list=/usr/" build/trace/bin/trackerd
	@tests/bench/trace --build build/trace --tools $(B)/test $(ARGS)
install: all
	@docker/install-files "$(DESTDIR)" "$(PREFIX)" "$(B)" "$(VERSION)"
clean:
	rm -rf build

-include $(wildcard $(foreach p,$(PACKAGES),$(B)/obj/$(p)/*.d $(B)/obj/unit/$(p)/*.d) $(B)/obj/cmd/*/*.d $(B)/fuzz_*.d $(NEXT)/obj/*.d)
