# carpd, pfsyncd, carpctl: the only makefile that lists sources.  Works with
# GNU make and bmake: no conditionals, no pattern rules.
#
#	make			build carpd/carpd, pfsyncd/pfsyncd, carpctl/carpctl
#	make check-unit		unit, simulation, config, corpus, shell: no root
#	make check		that, and as root namespaces and interop
#	make check-long		hundreds of kills, a thousand vhids, soak
#	make demo		a two-firewall cluster dies and nobody notices
#	make demo-active	two firewalls share the work, and one dies
#	make bench		figures, beside keepalived and ucarp
#	make lint		cppcheck, mandoc, shellcheck
#	make fuzz SECONDS=n	libFuzzer targets
#	make sim YEARS=n	both daemons' cores, for cluster-years with faults
#	make install		PREFIX, DESTDIR

OS!=		uname -s
include mk/${OS}.mk

PREFIX?=	/usr/local
SYSCONFDIR?=	/etc
SBINDIR?=	${PREFIX}/sbin
MANDIR?=	${PREFIX}/share/man
EXAMPLESDIR?=	${PREFIX}/share/examples/carpd
UNITDIR?=	${PREFIX}/lib/systemd/system
DESTDIR?=

VERSION=	0.1
CC?=		cc
AR?=		ar
OPT?=		-O2 -g
WARN=		-Wall -Wextra -Wshadow -Wstrict-prototypes \
		-Wmissing-prototypes -Wpointer-arith -Wcast-qual \
		-Wwrite-strings -Werror
HARDEN?=	-D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE
LDHARDEN?=	-pie -Wl,-z,relro,-z,now
CPPFLAGS+=	${OS_CPPFLAGS} -I. -Icarpd -DVERSION=\"${VERSION}\"
ALL_CFLAGS=	-std=gnu11 ${OPT} ${WARN} ${HARDEN} ${OS_CFLAGS} ${CPPFLAGS} \
		${CFLAGS} -MMD
ALL_LDFLAGS=	${LDHARDEN} ${LDFLAGS}

COMMON_SRCS=	common/monotime.c common/ev.c common/log.c common/imsg.c \
		common/channel.c common/msgtab.c common/control.c \
		common/ctlclient.c common/ibuf.c common/notify.c common/hmac.c \
		common/ipaddr.c common/lex.c common/config.c common/daemon.c \
		common/auth.c common/authconf.c common/epoch.c \
		common/ownfile.c common/seal.c \
		common/wire/cksum.c common/wire/carp.c common/wire/vrrp.c \
		common/wire/frame.c \
		common/wire/trailer.c common/wire/native.c \
		common/wire/pfsync.c \
		${COMMON_OS_SRCS}
COMMON_OBJS=	${COMMON_SRCS:.c=.o}

# everything of carpd but main: tests link against it
CARPD_SRCS=	carpd/config.c carpd/printconf.c carpd/parse.c \
		carpd/demote.c carpd/advert.c carpd/peer.c carpd/vhost.c \
		carpd/split.c carpd/autopsy.c \
		carpd/choose.c carpd/msgs.c carpd/balance.c carpd/group.c \
		carpd/engine.c carpd/node.c carpd/timers.c carpd/tx.c \
		carpd/alarm.c \
		carpd/ledger.c carpd/rx.c carpd/dev.c carpd/vif.c carpd/ctl.c \
		carpd/restore.c \
		${CARPD_OS_SRCS}
CARPD_OBJS=	${CARPD_SRCS:.c=.o}

# everything of pfsyncd but main
PFSYNCD_SRCS=	pfsyncd/config.c pfsyncd/printconf.c pfsyncd/parse.c \
		pfsyncd/msgs.c pfsyncd/flow.c pfsyncd/statedb.c \
		pfsyncd/nosync.c pfsyncd/repl.c pfsyncd/repl_kernel.c \
		pfsyncd/repl_rx.c pfsyncd/repl_tx.c pfsyncd/repl_ends.c \
		pfsyncd/repl_defer.c pfsyncd/repl_vhosts.c pfsyncd/ends.c \
		pfsyncd/hold.c pfsyncd/ctmap.c \
		pfsyncd/pfdial.c pfsyncd/pfdial_rx.c pfsyncd/pfdial_tx.c \
		pfsyncd/hints.c pfsyncd/crypt.c pfsyncd/strangers.c \
		pfsyncd/shares.c \
		pfsyncd/engine.c \
		pfsyncd/ctl.c \
		pfsyncd/table.c pfsyncd/defer.c pfsyncd/carplink.c pfsyncd/syncdev.c \
		${PFSYNCD_OS_SRCS}
PFSYNCD_OBJS=	${PFSYNCD_SRCS:.c=.o}

# carpctl import but for its files: the fuzz target has it, too
IMPORT_SRCS=	carpctl/import_words.c carpctl/import_parse.c \
		carpctl/import_ifconfig.c carpctl/import_ucarp.c \
		carpctl/import_model.c carpctl/import_print.c
IMPORT_OBJS=	${IMPORT_SRCS:.c=.o}

# what carpctl doctor judges by: its unit tests have it, too
DOCTOR_SRCS=	carpctl/findings.c carpctl/diagnose.c carpctl/show.c \
		carpctl/ruleset.c
DOCTOR_OBJS=	${DOCTOR_SRCS:.c=.o}

CTL_SRCS=	carpctl/carpctl.c carpctl/tokens.c \
		carpctl/show_check.c carpctl/show_text.c carpctl/show_json.c \
		carpctl/sync.c carpctl/diagnose_sync.c carpctl/doctor.c \
		carpctl/import.c carpctl/keygen.c \
		${DOCTOR_SRCS} ${IMPORT_SRCS}
CTL_OBJS=	${CTL_SRCS:.c=.o}

UNIT_TESTS=	tests/unit/imsg_test.ut tests/unit/channel_test.ut \
		tests/unit/control_test.ut tests/unit/ibuf_test.ut \
		tests/unit/ev_test.ut tests/unit/log_test.ut \
		tests/unit/msgtab_test.ut tests/unit/hmac_test.ut \
		tests/unit/ipaddr_test.ut tests/unit/cksum_test.ut \
		tests/unit/frame_test.ut tests/unit/trailer_test.ut \
		tests/unit/auth_test.ut tests/unit/epoch_test.ut tests/unit/carp_wire_test.ut \
		tests/unit/lex_test.ut \
		tests/unit/config_test.ut tests/unit/demote_test.ut \
		tests/unit/advert_test.ut tests/unit/peer_test.ut tests/unit/vhost_test.ut \
		tests/unit/split_test.ut tests/unit/autopsy_test.ut \
		tests/unit/diagnose_test.ut tests/unit/ruleset_test.ut \
		tests/unit/tokens_test.ut tests/unit/kif_test.ut \
		tests/unit/vaddr_test.ut tests/unit/sandbox_test.ut \
		tests/unit/frameio_test.ut tests/unit/steer_prog_test.ut \
		tests/unit/reload_test.ut tests/unit/balance_test.ut \
		tests/unit/choose_test.ut tests/unit/group_test.ut \
		tests/unit/restore_test.ut
SIM_TESTS=	tests/sim/sim_test.ut tests/sim/authsim_test.ut
FUZZ_REPLAYS=	tests/fuzz/advert_fuzz.rp tests/fuzz/carp_fuzz.rp \
		tests/fuzz/config_fuzz.rp tests/fuzz/frame_fuzz.rp \
		tests/fuzz/imsg_fuzz.rp tests/fuzz/trailer_fuzz.rp \
		tests/fuzz/vhost_fuzz.rp tests/fuzz/import_fuzz.rp \
		tests/fuzz/rtnetlink_fuzz.rp tests/fuzz/ctl_fuzz.rp
TEST_TOOLS=	tests/lab/stream tests/lab/flows tests/lab/witness \
		tests/lab/steerer tests/lab/hostile_carpd \
		tests/lab/hostile_pfsyncd tests/lab/flood \
		tests/shell/fakecarpd \
		tests/shell/fakepfsyncd

PROGS=		carpd/carpd pfsyncd/pfsyncd carpctl/carpctl

# linked with pfsyncd's objects instead of carpd's
SYNC_TESTS=	tests/unit/flow_test.us tests/unit/statedb_test.us \
		tests/unit/nosync_test.us tests/unit/native_test.us \
		tests/unit/pfsync_wire_test.us tests/unit/ctmap_test.us \
		tests/unit/pfdial_test.us tests/unit/sync_config_test.us \
		tests/unit/statetbl_test.us tests/unit/syncsock_test.us \
		tests/unit/repl_test.us tests/unit/ends_test.us \
		tests/unit/hints_test.us tests/unit/crypt_test.us \
		tests/unit/hold_test.us tests/unit/defer_test.us \
		tests/unit/ctattr_test.us \
		tests/unit/strangers_test.us tests/unit/shares_test.us \
		tests/unit/diagnose_sync_test.us \
		tests/unit/carplink_test.us tests/unit/syncdev_test.us \
		tests/sim/syncsim_test.us tests/sim/cluster_test.us
SYNC_REPLAYS=	tests/fuzz/pfsync_fuzz.rs tests/fuzz/native_fuzz.rs \
		tests/fuzz/sync_config_fuzz.rs tests/fuzz/pfdial_fuzz.rs \
		tests/fuzz/repl_fuzz.rs tests/fuzz/ctnetlink_fuzz.rs

all: ${PROGS}
	@cat common/*.d common/*/*.d carpd/*.d carpd/*/*.d pfsyncd/*.d \
	    pfsyncd/*/*.d carpctl/*.d \
	    > .depend 2>/dev/null || :

.SUFFIXES: .c .o .ut .rp .fz .us .rs .fs
.c.o:
	${CC} ${ALL_CFLAGS} -c -o $@ $<

carpd/carpd: carpd/carpd.o carpd/libcarpd.a common/libcommon.a
	${CC} ${ALL_LDFLAGS} -o $@ carpd/carpd.o carpd/libcarpd.a \
	    common/libcommon.a ${CARPD_LIBS} ${COMMON_LIBS}

pfsyncd/pfsyncd: pfsyncd/pfsyncd.o pfsyncd/libpfsyncd.a carpd/msgs.o \
		common/libcommon.a
	${CC} ${ALL_LDFLAGS} -o $@ pfsyncd/pfsyncd.o carpd/msgs.o \
	    pfsyncd/libpfsyncd.a common/libcommon.a ${PFSYNCD_LIBS} \
	    ${COMMON_LIBS}

carpctl/carpctl: ${CTL_OBJS} carpd/msgs.o carpd/vhost.o carpd/advert.o carpd/peer.o \
		carpd/config.o pfsyncd/msgs.o common/libcommon.a \
		carpd/libcarpd.a
	${CC} ${ALL_LDFLAGS} -o $@ ${CTL_OBJS} pfsyncd/msgs.o carpd/libcarpd.a \
	    common/libcommon.a ${CTL_LIBS} ${CARPD_LIBS} ${COMMON_LIBS}

common/libcommon.a: ${COMMON_OBJS}
	rm -f $@
	${AR} rcs $@ ${COMMON_OBJS}

carpd/libcarpd.a: ${CARPD_OBJS}
	rm -f $@
	${AR} rcs $@ ${CARPD_OBJS}

pfsyncd/libpfsyncd.a: ${PFSYNCD_OBJS}
	rm -f $@
	${AR} rcs $@ ${PFSYNCD_OBJS}

pfsyncd/parse.c: pfsyncd/parse.y
	${YACC} -o $@ pfsyncd/parse.y

carpd/parse.c: carpd/parse.y
	${YACC} -o $@ carpd/parse.y

carpd/bpf/steer.bpf.o: carpd/bpf/steer.bpf.c carpd/bpf/steer_map.h \
		carpd/bpf/balance_hash.h
	${BPF_CC} ${BPF_CFLAGS} -I. -c -o $@ carpd/bpf/steer.bpf.c

carpd/os/steer_linux.o: ${BPF_OBJS}

.c.ut:
	${CC} ${ALL_CFLAGS} ${ALL_LDFLAGS} -o $@ $< carpd/libcarpd.a \
	    common/libcommon.a ${TEST_LIBS} ${CARPD_LIBS} ${COMMON_LIBS}

${UNIT_TESTS} ${SIM_TESTS}: carpd/libcarpd.a common/libcommon.a

.c.us:
	${CC} ${ALL_CFLAGS} ${ALL_LDFLAGS} -o $@ $< pfsyncd/libpfsyncd.a \
	    common/libcommon.a ${TEST_LIBS} ${PFSYNCD_LIBS} ${COMMON_LIBS}

${SYNC_TESTS}: pfsyncd/libpfsyncd.a common/libcommon.a

.c.rs:
	${CC} ${ALL_CFLAGS} -Wno-missing-prototypes ${ALL_LDFLAGS} -o $@ $< \
	    tests/fuzz/replay.o pfsyncd/libpfsyncd.a common/libcommon.a \
	    ${PFSYNCD_LIBS} ${COMMON_LIBS}

${SYNC_REPLAYS}: tests/fuzz/replay.o pfsyncd/libpfsyncd.a common/libcommon.a

.c.fs:
	${CC} ${ALL_CFLAGS} -Wno-missing-prototypes ${ALL_LDFLAGS} -o $@ $< \
	    pfsyncd/libpfsyncd.a common/libcommon.a ${PFSYNCD_LIBS} \
	    ${COMMON_LIBS}

.c.rp:
	${CC} ${ALL_CFLAGS} -Wno-missing-prototypes ${ALL_LDFLAGS} -o $@ $< \
	    tests/fuzz/replay.o carpd/libcarpd.a common/libcommon.a \
	    ${CARPD_LIBS} ${COMMON_LIBS}

${FUZZ_REPLAYS}: tests/fuzz/replay.o carpd/libcarpd.a common/libcommon.a

.c.fz:
	${CC} ${ALL_CFLAGS} -Wno-missing-prototypes ${ALL_LDFLAGS} -o $@ $< \
	    carpd/libcarpd.a common/libcommon.a ${CARPD_LIBS} ${COMMON_LIBS}

tests/fuzz/repl_fuzz.rs tests/fuzz/ctnetlink_fuzz.rs: tests/fuzz/fuzzflow.h
tests/fuzz/ctnetlink_fuzz.rs: pfsyncd/os/statetbl_linux.c
tests/fuzz/rtnetlink_fuzz.rp: common/os/kif_linux.c common/os/netlink.c

tests/fuzz/import_fuzz.rp: tests/fuzz/import_fuzz.c ${IMPORT_OBJS}
	${CC} ${ALL_CFLAGS} -Wno-missing-prototypes ${ALL_LDFLAGS} -o $@ \
	    tests/fuzz/import_fuzz.c tests/fuzz/replay.o ${IMPORT_OBJS} \
	    carpd/libcarpd.a common/libcommon.a ${CARPD_LIBS} ${COMMON_LIBS}

tests/fuzz/import_fuzz.fz: tests/fuzz/import_fuzz.c ${IMPORT_OBJS}
	${CC} ${ALL_CFLAGS} -Wno-missing-prototypes ${ALL_LDFLAGS} -o $@ \
	    tests/fuzz/import_fuzz.c ${IMPORT_OBJS} carpd/libcarpd.a \
	    common/libcommon.a ${CARPD_LIBS} ${COMMON_LIBS}

tests/sim/syncsim_test.us: tests/sim/replsim.c

tests/sim/sim.o: tests/sim/sim.h carpd/bpf/steer_map.h

# both daemons' cores
tests/sim/cluster_test.us: tests/sim/cluster_test.c tests/sim/replsim.c \
		tests/sim/sim.o carpd/vhost.o carpd/demote.o
	${CC} ${ALL_CFLAGS} ${ALL_LDFLAGS} -o $@ tests/sim/cluster_test.c \
	    tests/sim/sim.o carpd/vhost.o carpd/demote.o \
	    pfsyncd/libpfsyncd.a common/libcommon.a ${TEST_LIBS} \
	    ${PFSYNCD_LIBS} ${COMMON_LIBS}

tests/sim/sim_test.ut: tests/sim/sim.c tests/sim/sim.h carpd/bpf/steer_map.h

tests/unit/tokens_test.ut: tests/unit/tokens_test.c carpctl/tokens.o
	${CC} ${ALL_CFLAGS} ${ALL_LDFLAGS} -o $@ tests/unit/tokens_test.c \
	    carpctl/tokens.o carpd/libcarpd.a common/libcommon.a \
	    ${TEST_LIBS} ${CARPD_LIBS} ${COMMON_LIBS}

tests/unit/diagnose_test.ut: tests/unit/diagnose_test.c ${DOCTOR_OBJS}
	${CC} ${ALL_CFLAGS} ${ALL_LDFLAGS} -o $@ tests/unit/diagnose_test.c \
	    ${DOCTOR_OBJS} carpd/libcarpd.a common/libcommon.a \
	    ${TEST_LIBS} ${CARPD_LIBS} ${COMMON_LIBS}

tests/unit/ruleset_test.ut: tests/unit/ruleset_test.c ${DOCTOR_OBJS}
	${CC} ${ALL_CFLAGS} ${ALL_LDFLAGS} -o $@ tests/unit/ruleset_test.c \
	    ${DOCTOR_OBJS} carpd/libcarpd.a common/libcommon.a \
	    ${TEST_LIBS} ${CARPD_LIBS} ${COMMON_LIBS}

tests/unit/diagnose_sync_test.us: tests/unit/diagnose_sync_test.c \
		carpctl/diagnose_sync.o carpctl/findings.o
	${CC} ${ALL_CFLAGS} ${ALL_LDFLAGS} -o $@ \
	    tests/unit/diagnose_sync_test.c carpctl/diagnose_sync.o \
	    carpctl/findings.o pfsyncd/libpfsyncd.a common/libcommon.a \
	    ${TEST_LIBS} ${PFSYNCD_LIBS} ${COMMON_LIBS}

tests/shell/fake.o: tests/shell/fake.h common/imsg.h common/ipaddr.h

tests/shell/fakecarpd: tests/shell/fakecarpd.c tests/shell/fake.o \
		carpd/libcarpd.a common/libcommon.a
	${CC} ${ALL_CFLAGS} ${ALL_LDFLAGS} -o $@ tests/shell/fakecarpd.c \
	    tests/shell/fake.o carpd/libcarpd.a common/libcommon.a \
	    ${CARPD_LIBS} ${COMMON_LIBS}

tests/shell/fakepfsyncd: tests/shell/fakepfsyncd.c tests/shell/fake.o \
		pfsyncd/libpfsyncd.a common/libcommon.a
	${CC} ${ALL_CFLAGS} ${ALL_LDFLAGS} -o $@ tests/shell/fakepfsyncd.c \
	    tests/shell/fake.o pfsyncd/libpfsyncd.a common/libcommon.a \
	    ${PFSYNCD_LIBS} ${COMMON_LIBS}

tests/lab/flows: tests/lab/flows.c
	${CC} ${ALL_CFLAGS} ${ALL_LDFLAGS} -o $@ tests/lab/flows.c \
	    ${COMMON_LIBS}

tests/lab/witness: tests/lab/witness.c
	${CC} ${ALL_CFLAGS} -pthread ${ALL_LDFLAGS} -o $@ tests/lab/witness.c

tests/lab/steerer: tests/lab/steerer.c carpd/libcarpd.a common/libcommon.a
	${CC} ${ALL_CFLAGS} ${ALL_LDFLAGS} -o $@ tests/lab/steerer.c \
	    carpd/libcarpd.a common/libcommon.a ${CARPD_LIBS} ${COMMON_LIBS}

tests/lab/hostile.o: tests/lab/hostile.h common/imsg.h common/msgtab.h

tests/lab/hostile_carpd: tests/lab/hostile_carpd.c tests/lab/hostile.o \
		carpd/libcarpd.a common/libcommon.a
	${CC} ${ALL_CFLAGS} ${ALL_LDFLAGS} -o $@ tests/lab/hostile_carpd.c \
	    tests/lab/hostile.o carpd/libcarpd.a common/libcommon.a \
	    ${CARPD_LIBS} ${COMMON_LIBS}

tests/lab/hostile_pfsyncd: tests/lab/hostile_pfsyncd.c tests/lab/hostile.o \
		pfsyncd/libpfsyncd.a common/libcommon.a
	${CC} ${ALL_CFLAGS} ${ALL_LDFLAGS} -o $@ tests/lab/hostile_pfsyncd.c \
	    tests/lab/hostile.o pfsyncd/libpfsyncd.a common/libcommon.a \
	    ${PFSYNCD_LIBS} ${COMMON_LIBS}

tests/lab/flood: tests/lab/flood.c
	${CC} ${ALL_CFLAGS} ${ALL_LDFLAGS} -o $@ tests/lab/flood.c

tests/lab/stream: tests/lab/stream.c
	${CC} ${ALL_CFLAGS} ${ALL_LDFLAGS} -o $@ tests/lab/stream.c

# ---- tests ----

TESTS=		${UNIT_TESTS} ${SIM_TESTS} ${FUZZ_REPLAYS} ${SYNC_TESTS} \
		${SYNC_REPLAYS}
SECONDS?=	10
YEARS?=		10

deps:
	@sh mk/install-deps.sh

# what the tests need besides the programs
test-programs: all ${TESTS} ${TEST_TOOLS}

check-unit:
	@${MAKE} -s test-programs
	@sh tests/run.sh -u ${TESTS}

# as root: installs what is missing, then everything
check: deps
	@${MAKE} -s test-programs
	@sh tests/run.sh ${TESTS}

check-long: deps
	@${MAKE} -s test-programs
	@CHECK_LONG=1 SIM_SEEDS=100000 CLUSTER_YEARS=100 sh tests/run.sh ${TESTS}

demo: deps
	@${MAKE} -s all ${TEST_TOOLS}
	@/usr/bin/python3 tests/lab/demo.py

demo-active: deps
	@${MAKE} -s all ${TEST_TOOLS}
	@/usr/bin/python3 tests/lab/demo_active.py

bench:
	@sh mk/install-deps.sh bench
	@${MAKE} -s all ${TEST_TOOLS} tests/unit/steer_prog_test.ut
	@/usr/bin/python3 tests/bench/bench.py

fuzz:
	@sh tests/fuzz/run.sh ${SECONDS}

sim:
	@${MAKE} -s tests/sim/cluster_test.us
	@CLUSTER_YEARS=${YEARS} tests/sim/cluster_test.us

lint:
	@sh tests/lint.sh

# ---- installation ----

install: all
	install -d ${DESTDIR}${SBINDIR} ${DESTDIR}${MANDIR}/man5 \
	    ${DESTDIR}${MANDIR}/man7 ${DESTDIR}${MANDIR}/man8 ${DESTDIR}${EXAMPLESDIR} \
	    ${DESTDIR}${UNITDIR}
	install -m 755 carpd/carpd pfsyncd/pfsyncd carpctl/carpctl conf/rcctl \
	    ${DESTDIR}${SBINDIR}
	install -m 644 man/carpd.conf.5 man/pfsyncd.conf.5 \
	    ${DESTDIR}${MANDIR}/man5
	install -m 644 man/carpd-openbsd.7 ${DESTDIR}${MANDIR}/man7
	install -m 644 man/carpd.8 man/pfsyncd.8 man/carpctl.8 man/rcctl.8 \
	    ${DESTDIR}${MANDIR}/man8
	install -m 600 conf/carpd.conf.sample conf/pfsyncd.conf.sample \
	    conf/balanced.nft.sample ${DESTDIR}${EXAMPLESDIR}
	for d in carpd pfsyncd; do \
	    sed "s,/usr/local/sbin,${SBINDIR},g" conf/$$d.service > \
	    ${DESTDIR}${UNITDIR}/$$d.service && \
	    chmod 644 ${DESTDIR}${UNITDIR}/$$d.service || exit 1; done

uninstall:
	rm -f ${DESTDIR}${SBINDIR}/carpd ${DESTDIR}${SBINDIR}/carpctl \
	    ${DESTDIR}${SBINDIR}/pfsyncd \
	    ${DESTDIR}${SBINDIR}/rcctl ${DESTDIR}${MANDIR}/man5/carpd.conf.5 \
	    ${DESTDIR}${MANDIR}/man5/pfsyncd.conf.5 \
	    ${DESTDIR}${MANDIR}/man8/pfsyncd.8 \
	    ${DESTDIR}${MANDIR}/man7/carpd-openbsd.7 \
	    ${DESTDIR}${EXAMPLESDIR}/pfsyncd.conf.sample \
	    ${DESTDIR}${EXAMPLESDIR}/balanced.nft.sample \
	    ${DESTDIR}${UNITDIR}/pfsyncd.service \
	    ${DESTDIR}${MANDIR}/man8/carpd.8 \
	    ${DESTDIR}${MANDIR}/man8/carpctl.8 \
	    ${DESTDIR}${MANDIR}/man8/rcctl.8 \
	    ${DESTDIR}${EXAMPLESDIR}/carpd.conf.sample \
	    ${DESTDIR}${UNITDIR}/carpd.service
	-rmdir ${DESTDIR}${EXAMPLESDIR} 2>/dev/null

clean:
	rm -f ${PROGS} ${COMMON_OBJS} ${CARPD_OBJS} ${CTL_OBJS} \
	    ${PFSYNCD_OBJS} pfsyncd/pfsyncd.o pfsyncd/parse.c \
	    pfsyncd/libpfsyncd.a \
	    carpd/carpd.o carpd/parse.c ${BPF_OBJS} common/libcommon.a \
	    carpd/libcarpd.a ${TESTS} ${TEST_TOOLS} tests/fuzz/replay.o \
	    tests/shell/fake.o tests/lab/hostile.o tests/sim/sim.o .depend
	find . -name '*.d' -type f -exec rm -f {} +

.PHONY: all clean deps test-programs check-unit check check-long demo demo-active bench \
	fuzz sim lint install uninstall

-include .depend
