# weir: one GNU make file, no configure step. `make help` lists the targets.
#
# Yours to set: CC CFLAGS CPPFLAGS LDFLAGS LDLIBS DESTDIR PREFIX PKG_CONFIG V DEV. What you give is
# added after our own flags, so it wins. Objects lie under build/VARIANT/, so variants never mix:
# release, asan (address and undefined), ubsan, tsan, cov, fuzz (clang, for `make fuzz`).

VERSION := $(shell cat VERSION)
VARIANT ?= release
B       := build/$(VARIANT)

CC         ?= cc
PKG_CONFIG ?= pkg-config
PREFIX     ?= /usr/local
bindir     ?= $(PREFIX)/bin
libdir     ?= $(PREFIX)/lib
includedir ?= $(PREFIX)/include
mandir     ?= $(PREFIX)/share/man
datadir    ?= $(PREFIX)/share
unitdir    ?= $(PREFIX)/lib/systemd/user
FUZZ_SECONDS ?= 60
Q := $(if $(V),,@)

# --- what there is to build: a room is a folder, its sources are all its .c files -----------------

ROOMS    := base base/s2 base/tls cas store client client/s2 bridge bridge/io bridge/relay daemon daemon/http daemon/h2 daemon/auth daemon/s2 \
	daemon/groups daemon/run daemon/serve cmd cmd/s2 cmd/relay
MAINS    := daemon/main.c cmd/main.c cmd/s2/main.c cmd/relay/main.c
sources   = $(sort $(foreach room,$(1),$(wildcard $(room)/*.c)))
objects   = $(patsubst %.c,$(B)/%.o,$(1))
PROGRAMS := $(B)/weir $(B)/weird $(B)/weir-s2 $(if $(wildcard cmd/relay/main.c),$(B)/weir-relay)
HEADERS  := $(sort $(wildcard include/weir/*.h $(ROOMS:%=%/*.h)))
# What a program of libweir includes; store.h and cas.h are the daemon's.
CLIENT_HEADERS := $(addprefix include/weir/,client.h err.h frame.h id.h span.h)
S2_HEADERS := $(wildcard include/weir/s2*.h)
# Programs to append as they are.
READY    := $(patsubst scripts/%,%,$(sort $(wildcard scripts/handlers/* scripts/examples/*)))
MAN      := $(sort $(wildcard man/*.[1-9]))

UNIT  := $(sort $(wildcard tests/unit/test_*.c))
FUZZ  := $(sort $(wildcard tests/fuzz/fuzz_*.c))
OTHER := $(sort $(filter-out tests/fault/shim.c,$(wildcard tests/bench/*.c tests/fault/*.c tests/store/*.c)))
SHARED_TEST := $(filter-out $(UNIT),$(wildcard tests/unit/*.c))
UNIT_PROGRAMS  := $(UNIT:%.c=$(B)/%)
FUZZ_PROGRAMS  := $(FUZZ:%.c=$(B)/%)
OTHER_PROGRAMS := $(OTHER:%.c=$(B)/%)
TEST_PROGRAMS  := $(UNIT_PROGRAMS) $(FUZZ_PROGRAMS) $(OTHER_PROGRAMS)
SHIM := $(if $(wildcard tests/fault/shim.c),$(B)/tests/faultshim.so)
SCRIPTS := .ci/run tests/run $(wildcard scripts/* scripts/dev/* scripts/examples/* scripts/handlers/*)
SHELL_FILES = $(shell grep -lE '^\#!.*\b(sh|bash)$$' $(SCRIPTS) 2>/dev/null)

# --- libraries -----------------------------------------------------------------------------------

MODULES := lmdb libsodium libmicrohttpd libcjson uuid libuv libxxhash nettle libnghttp2 libzstd zlib gnutls hiredis
S2_MODULES := libsodium libnghttp2 libzstd zlib gnutls
RELAY_MODULES := $(S2_MODULES) hiredis
DEBIAN  := hiredis=libhiredis-dev libnghttp2=libnghttp2-dev libzstd=libzstd-dev zlib=zlib1g-dev gnutls=libgnutls28-dev lmdb=liblmdb-dev libsodium=libsodium-dev libmicrohttpd=libmicrohttpd-dev \
	libcjson=libcjson-dev uuid=uuid-dev libuv=libuv1-dev libxxhash=libxxhash-dev nettle=nettle-dev
NO_BUILD := clean help format dist stats man-lint
ifneq ($(filter-out $(NO_BUILD),$(or $(MAKECMDGOALS),all)),)
MISSING := $(shell for m in $(MODULES); do $(PKG_CONFIG) --exists $$m 2>/dev/null || echo $$m; done)
ifneq ($(MISSING),)
debian_of = $(patsubst $(1)=%,%,$(filter $(1)=%,$(DEBIAN)))
$(foreach m,$(MISSING),$(info weir: pkg-config does not find $(m); Debian has it in $(call debian_of,$(m))))
$(error libraries are missing; ./scripts/deps installs all that building needs)
endif
LIB_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(MODULES))
LIB_LDLIBS := $(shell $(PKG_CONFIG) --libs $(MODULES))
S2_LDLIBS  := $(shell $(PKG_CONFIG) --libs $(S2_MODULES))
RELAY_LDLIBS := $(shell $(PKG_CONFIG) --libs $(RELAY_MODULES))
endif
# The command line must start in a millisecond, so it carries the one library it needs in itself.
WEIR_LDLIBS := -Wl,-Bstatic -lsodium -Wl,-Bdynamic

# --- flags ---------------------------------------------------------------------------------------

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2 \
	-Wwrite-strings -Wundef $(if $(DEV),-Werror)
HARDEN   := -fstack-protector-strong -fPIE
OUR_CPP  := -D_GNU_SOURCE -DWEIR_VERSION='"$(VERSION)"' -Iinclude -I. $(LIB_CFLAGS)
OUR_C    := -std=c11 -g -pthread $(HARDEN) $(WARNINGS)
OUR_LD   := -pthread -pie -Wl,-z,relro,-z,now -Wl,--as-needed

CHECKED      := -fno-omit-frame-pointer -fno-sanitize-recover=all
MODE_release := -O2
MODE_asan    := -O1 -fsanitize=address,undefined $(CHECKED)
MODE_ubsan   := -O1 -fsanitize=undefined $(CHECKED)
MODE_tsan    := -O1 -fsanitize=thread $(CHECKED)
MODE_cov     := -O0 --coverage -fprofile-update=atomic
MODE_fuzz    := -O1 -fsanitize=fuzzer-no-link,address,undefined $(CHECKED)
MODE := $(MODE_$(VARIANT))
ifeq ($(MODE),)
$(error VARIANT is one of release asan ubsan tsan cov fuzz, not '$(VARIANT)')
endif
ifeq ($(VARIANT),release)
OUR_CPP += -D_FORTIFY_SOURCE=2
endif
ifeq ($(VARIANT),fuzz)
CC := clang
FUZZ_MAIN := -fsanitize=fuzzer
else
FUZZ_MAIN := $(B)/tests/fuzz/driver.o
endif

ALL_CPP  = $(OUR_CPP) $(CPPFLAGS)
ALL_C    = $(OUR_C) $(MODE) $(CFLAGS)
ALL_LD   = $(OUR_LD) $(MODE) $(CFLAGS) $(LDFLAGS)
COMPILE  = $(CC) $(ALL_CPP) $(ALL_C) -MMD -MP
link     = $(CC) $(ALL_LD) -o $@ $(1) $(2) $(LDLIBS)
say      = $(if $(V),,@printf '  %-7s %s\n' $(1) $(2))

# --- building ------------------------------------------------------------------------------------

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: all tests check check-all quick install uninstall clean dist bench fuzz asan ubsan tsan cov \
	lint format hdr-check man-lint stats help FORCE

S2_LIBRARY := $(if $(wildcard client/s2/*.c),$(B)/libweir-s2.a $(B)/weir-s2.pc)
all: $(PROGRAMS) $(B)/libweir.a $(B)/weir.pc $(S2_LIBRARY)
tests: all $(TEST_PROGRAMS) $(SHIM)

CLIENT_OBJ := $(call objects,$(call sources,client base))
S2_OBJ     := $(call objects,$(call sources,client/s2 base/s2 base/tls))
DAEMON_OBJ := $(call objects,$(call sources,$(filter daemon daemon/%,$(ROOMS)) store cas base base/s2))
CMD_S2_OBJ := $(call objects,$(call sources,cmd/s2))
CMD_OBJ    := $(call objects,$(call sources,cmd))
BRIDGE_OBJ := $(call objects,$(call sources,bridge bridge/io))
CMD_RELAY_OBJ := $(call objects,$(call sources,cmd/relay bridge/relay))
ROOMS_OBJ  := $(call objects,$(filter-out $(MAINS),$(call sources,$(ROOMS))))

$(B)/weir: $(CMD_OBJ) $(B)/bridge.a $(CLIENT_OBJ)
	$(call say,LINK,$@)
	$(Q)$(call link,$^,$(WEIR_LDLIBS))
# Apart from weir, which must not load what only this needs.
$(B)/weir-s2: $(CMD_S2_OBJ) $(S2_OBJ) $(CLIENT_OBJ)
	$(call say,LINK,$@)
	$(Q)$(call link,$^,$(S2_LDLIBS))
$(B)/weir-relay: $(CMD_RELAY_OBJ) $(B)/cmd.a $(B)/bridge.a $(S2_OBJ) $(CLIENT_OBJ)
	$(call say,LINK,$@)
	$(Q)$(call link,$^,$(RELAY_LDLIBS))
$(B)/weird: $(DAEMON_OBJ)
	$(call say,LINK,$@)
	$(Q)$(call link,$^,$(LIB_LDLIBS))
# Made afresh each time, so that a source which went away leaves no member behind.
$(B)/libweir.a: $(CLIENT_OBJ)
$(B)/libweir-s2.a: $(S2_OBJ)
$(B)/rooms.a: $(ROOMS_OBJ)
# Of these a program takes what it needs: weir no Redis, weir-relay no other verb.
$(B)/bridge.a: $(BRIDGE_OBJ)
$(B)/cmd.a: $(filter-out $(B)/cmd/main.o $(B)/cmd/table.o,$(CMD_OBJ))
$(B)/libweir.a $(B)/libweir-s2.a $(B)/bridge.a $(B)/cmd.a $(B)/rooms.a:
	$(call say,AR,$@)
	$(Q)mkdir -p $(@D) && rm -f $@ && ar qcs $@ $^
$(B)/%.pc: %.pc.in VERSION FORCE
	$(Q)mkdir -p $(@D)
	$(Q)sed 's|@PREFIX@|$(PREFIX)|; s|@LIBDIR@|$(libdir)|; s|@INCLUDEDIR@|$(includedir)|; s|@VERSION@|$(VERSION)|' $< > $@

# Other flags, another compiler or another version make everything again.
$(B)/.flags: FORCE
	$(Q)mkdir -p $(@D)
	$(Q)printf '%s\n' $(call quote,$(CC) $(ALL_CPP) $(filter-out -Werror,$(ALL_C)) $(ALL_LD)) > $@.new
	$(Q)cmp -s $@.new $@ && rm -f $@.new || mv $@.new $@
quote = '$(subst ','\'',$(1))'

$(B)/%.o: %.c $(B)/.flags
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(COMPILE) -Wconversion -c -o $@ $<
# It has the live page's files in itself.
$(B)/daemon/serve/page_asset.o: $(addprefix daemon/serve/page.,html css js)
# Tests: no -Wconversion, and a fuzz target's entry point has no header to declare it.
$(B)/tests/%.o: tests/%.c $(B)/.flags
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(COMPILE) -Wno-missing-prototypes -c -o $@ $<

$(UNIT_PROGRAMS): $(B)/%: $(B)/%.o $(SHARED_TEST:%.c=$(B)/%.o) $(B)/rooms.a
$(OTHER_PROGRAMS): $(B)/%: $(B)/%.o $(B)/rooms.a
$(UNIT_PROGRAMS) $(OTHER_PROGRAMS):
	$(call say,LINK,$@)
	$(Q)$(call link,$^,$(LIB_LDLIBS) -lcmocka -lm)
$(FUZZ_PROGRAMS): $(B)/%: $(B)/%.o $(filter %.o,$(FUZZ_MAIN)) $(B)/rooms.a
	$(call say,LINK,$@)
	$(Q)$(call link,$^ $(filter -%,$(FUZZ_MAIN)),$(LIB_LDLIBS))
# The shim is preloaded into any program, so it carries no sanitizer of its own.
$(B)/tests/faultshim.so: tests/fault/shim.c $(B)/.flags
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -D_GNU_SOURCE -std=c11 -O2 -g -fPIC -pthread $(WARNINGS) -Wno-missing-prototypes -shared -o $@ $< -ldl

-include $(wildcard $(B)/*/*.d $(B)/*/*/*.d)

# --- testing -------------------------------------------------------------------------------------

# The quick set: unit tests, the fuzz corpora replayed, the command line. scripts/check runs everything.
check: tests
	$(Q)BUILD=$(B) tests/run quick
check-all:
	$(Q)./scripts/check
asan ubsan tsan:
	$(Q)$(MAKE) --no-print-directory VARIANT=$@ check
cov:
	$(Q)find build/cov -name '*.gcda' -delete 2>/dev/null || :
	$(Q)$(MAKE) --no-print-directory VARIANT=cov check
	$(Q)scripts/dev/coverage build/cov
bench: all $(filter $(B)/tests/bench/%,$(OTHER_PROGRAMS))
	$(Q)BUILD=$(B) tests/run bench
fuzz:
	$(Q)$(MAKE) --no-print-directory VARIANT=fuzz fuzz-programs
	$(Q)BUILD=build/fuzz FUZZ_SECONDS=$(FUZZ_SECONDS) tests/run fuzz-hunt
.PHONY: fuzz-programs
fuzz-programs: $(FUZZ_PROGRAMS)

# --- looking after the sources -------------------------------------------------------------------

C_FILES = $(sort $(call sources,$(ROOMS)) $(HEADERS) $(wildcard tests/*/*.c tests/*/*.h))
format:
	$(Q)clang-format -i $(C_FILES)
lint: compile_commands.json
	$(Q)clang-format --dry-run -Werror $(C_FILES)
	$(Q)shellcheck $(SHELL_FILES) $(wildcard tests/cli/*.bats tests/cli/*.bash)
	$(Q)cppcheck -q --enable=warning,performance,portability --inline-suppr --error-exitcode=1 \
	  --std=c11 -D_GNU_SOURCE -Iinclude -I. $(call sources,$(ROOMS))
	$(Q)clang-tidy -p . --quiet --warnings-as-errors='*' $(call sources,$(ROOMS))
# Each header compiles alone, so the order of includes never matters.
hdr-check:
	$(Q)for h in $(HEADERS); do \
	  $(CC) $(ALL_CPP) $(ALL_C) -Werror -O0 -U_FORTIFY_SOURCE -fsyntax-only -x c -include $$h /dev/null \
	    && echo "ok $$h" || { echo "not ok $$h"; bad=1; }; done; test -z "$$bad"
man-lint:
	$(Q)scripts/dev/man-lint $(MAN)
stats:
	$(Q)scripts/dev/stats $(call sources,$(ROOMS)) $(HEADERS) $(wildcard tests/*/*.c tests/*/*.py tests/*/*.bats)
compile_commands.json: FORCE
	$(Q){ sep='['; for f in $(call sources,$(ROOMS)) $(filter tests/%,$(C_FILES)); do \
	  case $$f in *.h) continue ;; esac; \
	  printf '%s\n{"directory":"%s","file":"%s","command":"%s"}' "$$sep" '$(CURDIR)' "$$f" \
	    $(call quote,$(subst ",\",$(subst \,\\,cc $(subst '"','\"',$(ALL_CPP)) $(ALL_C)))) | sed "s|\"}$$| -c $$f\"}|"; \
	  sep=','; done; printf ']\n'; } > $@

# --- installing ----------------------------------------------------------------------------------

COMPLETIONS := bash-completion/completions/weir zsh/site-functions/_weir fish/vendor_completions.d/weir.fish
install: all
	$(Q)install -d $(DESTDIR)$(bindir) $(DESTDIR)$(libdir)/pkgconfig $(DESTDIR)$(includedir)/weir $(DESTDIR)$(unitdir)
	$(Q)install -m 755 $(PROGRAMS) $(DESTDIR)$(bindir)
	$(Q)install -m 644 $(B)/libweir.a $(B)/libweir-s2.a $(DESTDIR)$(libdir)
	$(Q)install -m 644 $(B)/weir.pc $(B)/weir-s2.pc $(DESTDIR)$(libdir)/pkgconfig
	$(Q)install -m 644 $(CLIENT_HEADERS) $(S2_HEADERS) $(DESTDIR)$(includedir)/weir
	$(Q)for m in $(MAN); do install -D -m 644 $$m $(DESTDIR)$(mandir)/man$${m##*.}/$${m##*/} || exit 1; done
	$(Q)for c in $(COMPLETIONS); do f=$(DESTDIR)$(datadir)/$$c; mkdir -p "$${f%/*}" || exit 1; \
	  s=$${c%%/*}; $(B)/weir completion "$${s%-completion}" > "$$f" || exit 1; done
	$(Q)for u in weir.service weir.socket; do sed 's|@BINDIR@|$(bindir)|' scripts/systemd/$$u > $(DESTDIR)$(unitdir)/$$u || exit 1; done
	$(Q)install -d $(addprefix $(DESTDIR)$(datadir)/weir/,handlers examples)
	$(Q)for s in $(READY); do test -x scripts/$$s && m=755 || m=644; install -m $$m scripts/$$s $(DESTDIR)$(datadir)/weir/$$s || exit 1; done
uninstall:
	$(Q)rm -f $(addprefix $(DESTDIR)$(bindir)/,weir weird weir-s2 weir-relay) $(addprefix $(DESTDIR)$(libdir)/,libweir.a libweir-s2.a pkgconfig/weir.pc pkgconfig/weir-s2.pc)
	$(Q)rm -f $(foreach m,$(MAN),$(DESTDIR)$(mandir)/man$(subst .,,$(suffix $(m)))/$(notdir $(m)))
	$(Q)rm -f $(addprefix $(DESTDIR)$(datadir)/,$(COMPLETIONS)) $(addprefix $(DESTDIR)$(unitdir)/,weir.service weir.socket)
	$(Q)rm -f $(patsubst include/%,$(DESTDIR)$(includedir)/%,$(CLIENT_HEADERS) $(S2_HEADERS))
	$(Q)rm -f $(addprefix $(DESTDIR)$(datadir)/weir/,$(READY))
	$(Q)for d in $(includedir)/weir $(datadir)/weir/handlers $(datadir)/weir/examples $(datadir)/weir; do rmdir $(DESTDIR)$$d 2>/dev/null || :; done
dist:
	$(Q)mkdir -p build && git archive --prefix=weir-$(VERSION)/ HEAD | gzip -9n > build/weir-$(VERSION).tar.gz
	@echo build/weir-$(VERSION).tar.gz
clean:
	$(Q)rm -rf build compile_commands.json

help:
	@echo 'all        the programs and libraries, under build/VARIANT/ (VARIANT=release)'
	@echo 'check      unit tests, fuzz corpora, command line: under two minutes'
	@echo 'check-all  everything (./scripts/check)'
	@echo 'asan ubsan tsan  the quick check under a sanitizer;  cov  with branch coverage'
	@echo 'fuzz       libFuzzer on each target for FUZZ_SECONDS (60)'
	@echo 'bench      the benchmark programs;  lint format hdr-check man-lint stats  the sources'
	@echo 'install uninstall  below PREFIX (/usr/local), in DESTDIR;  dist  a tarball;  clean'
	@echo 'compile_commands.json  for editors and clang-tidy'
	@echo 'V=1 shows commands; DEV=1 makes warnings errors'
