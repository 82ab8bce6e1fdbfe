# carpd, carpctl: the only makefile that lists sources.  Works with GNU make
# and bmake: no conditionals, no pattern rules.
#
#	make			build carpd/carpd and carpctl/carpctl
#	make check-unit		unit, simulation, config, corpus, shell: no root
#	make check		that, and as root namespaces and interop
#	make check-long		hundreds of kills, soak
#	make demo		a two-firewall cluster dies and nobody notices
#	make bench		figures, beside keepalived and ucarp
#	make lint		cppcheck, mandoc, shellcheck
#	make fuzz SECONDS=n	libFuzzer targets
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
		common/ipaddr.c common/lex.c common/wire/cksum.c \
		common/wire/carp.c common/wire/frame.c common/wire/trailer.c \
		${COMMON_OS_SRCS}
COMMON_OBJS=	${COMMON_SRCS:.c=.o}

# everything of carpd but main: tests link against it
CARPD_SRCS=	carpd/config.c carpd/printconf.c carpd/parse.c \
		carpd/demote.c carpd/advert.c carpd/vhost.c carpd/msgs.c \
		carpd/engine.c carpd/node.c carpd/ledger.c carpd/rx.c \
		carpd/dev.c carpd/vif.c carpd/ctl.c ${CARPD_OS_SRCS}
CARPD_OBJS=	${CARPD_SRCS:.c=.o}

CTL_SRCS=	carpctl/carpctl.c carpctl/tokens.c carpctl/show.c \
		carpctl/show_check.c carpctl/show_text.c carpctl/show_json.c
CTL_OBJS=	${CTL_SRCS:.c=.o}

UNIT_TESTS=	tests/unit/imsg_test.ut tests/unit/channel_test.ut \
		tests/unit/control_test.ut tests/unit/ibuf_test.ut \
		tests/unit/ev_test.ut tests/unit/log_test.ut \
		tests/unit/msgtab_test.ut tests/unit/hmac_test.ut \
		tests/unit/ipaddr_test.ut tests/unit/cksum_test.ut \
		tests/unit/frame_test.ut tests/unit/trailer_test.ut \
		tests/unit/carp_wire_test.ut tests/unit/lex_test.ut \
		tests/unit/config_test.ut tests/unit/demote_test.ut \
		tests/unit/advert_test.ut tests/unit/vhost_test.ut
SIM_TESTS=	tests/sim/sim_test.ut
TEST_TOOLS=	tests/lab/stream

PROGS=		carpd/carpd carpctl/carpctl

all: ${PROGS}

.SUFFIXES: .c .o .ut
.c.o:
	${CC} ${ALL_CFLAGS} -c -o $@ $<

carpd/carpd: carpd/carpd.o carpd/libcarpd.a common/libcommon.a
	${CC} ${ALL_LDFLAGS} -o $@ carpd/carpd.o carpd/libcarpd.a \
	    common/libcommon.a ${CARPD_LIBS} ${COMMON_LIBS}

carpctl/carpctl: ${CTL_OBJS} carpd/msgs.o carpd/vhost.o carpd/advert.o \
		carpd/config.o common/libcommon.a carpd/libcarpd.a
	${CC} ${ALL_LDFLAGS} -o $@ ${CTL_OBJS} carpd/libcarpd.a \
	    common/libcommon.a ${CTL_LIBS} ${CARPD_LIBS} ${COMMON_LIBS}

common/libcommon.a: ${COMMON_OBJS}
	rm -f $@
	${AR} rcs $@ ${COMMON_OBJS}

carpd/libcarpd.a: ${CARPD_OBJS}
	rm -f $@
	${AR} rcs $@ ${CARPD_OBJS}

carpd/parse.c: carpd/parse.y
	${YACC} -o $@ carpd/parse.y

carpd/bpf/steer.bpf.o: carpd/bpf/steer.bpf.c carpd/bpf/steer_map.h
	${BPF_CC} ${BPF_CFLAGS} -I. -c -o $@ carpd/bpf/steer.bpf.c

carpd/os/steer_linux.o: ${BPF_OBJS}

.c.ut:
	${CC} ${ALL_CFLAGS} ${ALL_LDFLAGS} -o $@ $< carpd/libcarpd.a \
	    common/libcommon.a ${TEST_LIBS} ${CARPD_LIBS} ${COMMON_LIBS}

${UNIT_TESTS} ${SIM_TESTS}: carpd/libcarpd.a common/libcommon.a

tests/lab/stream: tests/lab/stream.c
	${CC} ${ALL_CFLAGS} ${ALL_LDFLAGS} -o $@ tests/lab/stream.c

clean:
	rm -f ${PROGS} ${COMMON_OBJS} ${CARPD_OBJS} ${CTL_OBJS} \
	    carpd/carpd.o carpd/parse.c ${BPF_OBJS} common/libcommon.a \
	    carpd/libcarpd.a ${UNIT_TESTS} ${SIM_TESTS} ${TEST_TOOLS}
	find . -name '*.d' -type f -exec rm -f {} +

.PHONY: all clean
