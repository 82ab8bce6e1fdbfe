# What Linux (Debian 12) picks: os/ files, flags, libraries.  No logic.
PKGS=		libevent_core libpcap libcrypto libbsd-overlay libmnl \
		libseccomp libcap libbpf
OS_CFLAGS!=	pkg-config --cflags libevent_core libpcap libcrypto \
		libbsd-overlay libmnl libseccomp libcap libbpf 2>/dev/null || :
OS_CPPFLAGS=	-D_GNU_SOURCE
COMMON_LIBS!=	pkg-config --libs libevent_core libcrypto libbsd-overlay \
		libmnl libseccomp libcap 2>/dev/null || :
CARPD_LIBS!=	pkg-config --libs libpcap libbpf 2>/dev/null || :
CTL_LIBS!=	pkg-config --libs jansson 2>/dev/null || :
TEST_LIBS!=	pkg-config --libs check jansson libpcap 2>/dev/null || :

COMMON_OS_SRCS=	common/os/netlink.c common/os/kif_linux.c \
		common/os/lock_linux.c common/os/sandbox_linux.c \
		common/os/boot_linux.c
CARPD_OS_SRCS=	carpd/os/steer_linux.c carpd/os/vaddr_linux.c \
		carpd/os/frameio_linux.c
PFSYNCD_OS_SRCS= pfsyncd/os/statetbl_linux.c pfsyncd/os/ctattr_linux.c \
		pfsyncd/os/pktq_linux.c pfsyncd/os/host_linux.c \
		pfsyncd/os/syncsock_linux.c
PFSYNCD_LIBS=
BPF_OBJS=	carpd/bpf/steer.bpf.o
BPF_CC?=	clang
BPF_ARCH_DIR!=	cc -print-multiarch 2>/dev/null || :
BPF_CFLAGS=	-O2 -g -Wall -Werror -target bpf -mcpu=v2 \
		-I/usr/include/${BPF_ARCH_DIR}
YACC=		byacc
