# Builds, installs and tests ONE extension: plinth_$(MODULE), out of
# src/$(MODULE) and src/kit.  Called by the top Makefile inside
# build/<server version>/$(MODULE), with TOP = the source tree.
#
# Flags for one run come through the environment (PG_CFLAGS, PG_CPPFLAGS,
# COPT); on make's command line they would replace what is added here.

ifndef MODULE
$(error run make in the top folder)
endif

VPATH = $(TOP)
from_top = $(patsubst $(TOP)/%,%,$(sort $(wildcard $(addprefix $(TOP)/,$(1)))))

MODULE_big = plinth_$(MODULE)
EXTENSION = plinth_$(MODULE)
DATA = $(call from_top,sql/$(EXTENSION)--*.sql)
OBJS = $(patsubst %.c,%.o,$(call from_top,src/$(MODULE)/*.c src/kit/*.c))
PGFILEDESC = "$(EXTENSION)"

# -I../src for "kit/errors.h"; -D goes to CPPFLAGS because the bitcode
# compiler sees nothing else.  PostgreSQL 15 leaves PGDLLEXPORT empty; from 16
# on the server's headers and PGXS do both of these themselves.
PG_CPPFLAGS += -I$(TOP)/src
PG_CPPFLAGS += $(if $(filter 15,$(MAJORVERSION)),-DPGDLLEXPORT='__attribute__((visibility("default")))')
# All plinth libraries in a backend share one symbol space, and each has its
# own copy of the kit: nothing but entry points may be visible.
PG_CFLAGS += -fvisibility=hidden
# PGXS knows no header dependencies.
PG_CFLAGS += -MMD -MP

# Both runners look for <outputdir>/expected, so each gets a link to ours; a
# nested test name needs its results folder beforehand.  Isolation has an
# output folder of its own: the runners would overwrite each other's diffs.
REGRESS = $(patsubst test/sql/%.sql,%,$(call from_top,test/sql/$(MODULE)/*.sql))
REGRESS_OPTS = --inputdir=$(TOP)/test
ISOLATION = $(patsubst test/specs/%.spec,%,$(call from_top,test/specs/$(MODULE)/*.spec))
ISOLATION_OPTS = --inputdir=$(TOP)/test --outputdir=iso
REGRESS_PREP = test-folders
# The goldens are made in a UTF-8 database that sorts by bytes, and two
# modules tested at the same time must not share a database.
ENCODING = UTF8
NO_LOCALE = 1
USE_MODULE_DB = 1

PROVE_TESTS = $(call from_top,test/t/[0-9]*_$(MODULE)_*.pl)
ifneq (,$(PROVE_TESTS))
ifeq (yes,$(shell perl -MIPC::Run -e 'print "yes"' 2>/dev/null))
TAP_TESTS = 1
else ifneq (,$(filter installcheck,$(MAKECMDGOALS)))
$(warning Perl module IPC::Run is missing: the TAP tests are left out)
endif
endif

PGXS := $(shell $(PG_CONFIG) --pgxs)

# Bitcode only serves the JIT's inlining: without the compiler that the server
# was built with (an absolute path in PGXS), go on without it.
ifneq (,$(MAKECMDGOALS:uninstall=))
llvm_tools := $(shell sed -n 's/^CLANG = //p;s,^LLVM_BINPATH = \(.*\),\1/llvm-lto,p' \
	'$(dir $(PGXS))../Makefile.global')
ifneq ($(words $(llvm_tools)),$(words $(wildcard $(llvm_tools))))
override with_llvm := no
endif
endif

include $(PGXS)

# Not a rule: make would find these folders in the source tree, by VPATH.
$(shell mkdir -p $(sort $(dir $(OBJS))))
# A header that makes an object stale makes its bitcode stale too.
$(OBJS:.o=.bc): %.bc: %.o
-include $(OBJS:.o=.d)

.PHONY: test-folders install-doc uninstall-doc
test-folders:
	$(MKDIR_P) results/$(MODULE) iso/results/$(MODULE)
	ln -sfn '$(TOP)/expected' expected
	ln -sfn '$(TOP)/expected' iso/expected

# PGXS's own DOCS forgets files from a sub-folder at uninstall.
ifneq (,$(and $(docdir),$(wildcard $(TOP)/docs/$(MODULE).md)))
install: install-doc
uninstall: uninstall-doc
endif
install-doc:
	$(MKDIR_P) '$(DESTDIR)$(docdir)/extension'
	$(INSTALL_DATA) '$(TOP)/docs/$(MODULE).md' '$(DESTDIR)$(docdir)/extension/$(EXTENSION).md'
uninstall-doc:
	rm -f '$(DESTDIR)$(docdir)/extension/$(EXTENSION).md'
	-rmdir '$(DESTDIR)$(docdir)/extension' '$(DESTDIR)$(docdir)' 2>/dev/null || true
