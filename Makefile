# plinth: one library per extension.
#
# PGXS builds one MODULE_big a run, so every target is passed on to
# src/module.mk once per extension.  Objects go to build/<server version>/
# <module>/: modules never share a file (make -j is safe) and one checkout
# serves several servers.
#
#   make && make install                     all extensions
#   make install-audit                       one of them
#   make PG_CONFIG=/path/to/pg_config ...    another server
#   make installcheck                        against your running server
#   make check | demo | lint                 no server needed, see script/

MODULES_ALL = audit closure inventory soft_delete

PG_CONFIG ?= pg_config
PG_VERSION := $(word 2,$(shell $(PG_CONFIG) --version 2>/dev/null))
BUILD = build/$(PG_VERSION)
SERVER_TARGETS = all install uninstall installcheck

all: # the default goal

# $(call pass_on,target,module) makes target-module and hangs it on target.
define pass_on
.PHONY: $(1) $(1)-$(2)
$(1): $(1)-$(2)
$(1)-$(2): need-server
	@mkdir -p $(BUILD)/$(2)
	+$$(MAKE) --no-print-directory -C $(BUILD)/$(2) -f '$(CURDIR)/src/module.mk' \
		TOP='$(CURDIR)' MODULE=$(2) PG_CONFIG='$(PG_CONFIG)' $(1)
endef
$(foreach target,$(SERVER_TARGETS),$(foreach module,$(MODULES_ALL),\
	$(eval $(call pass_on,$(target),$(module)))))

.PHONY: need-server clean distclean
need-server:
	@test -n '$(PG_VERSION)' || { \
		echo "make: $(PG_CONFIG) does not run; install the server's development package or set PG_CONFIG" >&2; exit 1; }

# Everything that is ever built is in one folder.
clean distclean:
	rm -rf build

# The scripts bring their own server, whatever PG_CONFIG says.
SCRIPT_TARGETS = $(filter $(notdir $(wildcard script/*)),demo bench lint)
.PHONY: check $(SCRIPT_TARGETS)
check:
	script/test
$(SCRIPT_TARGETS):
	script/$@
