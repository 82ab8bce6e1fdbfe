#!/bin/sh
# rcctl by itself, with stand-ins for the daemons, and over a stand-in for
# systemctl.  Needs no root: RCCTL_UID is whoever runs this.

cd "$(dirname "$0")/../.." || exit 1
# It acts on the daemons of its network namespace: there are none in a new one,
# not even those of this test run elsewhere at the same time.
if [ -z "${RCCTL_ALONE:-}" ] && unshare -n true 2>/dev/null; then
	RCCTL_ALONE=yes exec unshare -n sh tests/shell/rcctl.t
fi
rcctl=conf/rcctl
tmp=$(mktemp -d) || exit 1
n=0
trap 'stop_all; rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM

RCCTL_CONF=$tmp/etc/rc.conf
RCCTL_SBIN=$tmp/sbin
RCCTL_SYSTEMD=no
RCCTL_UID=$(id -u)
RCCTL_TIMEOUT=10
FAKE=$tmp
export RCCTL_CONF RCCTL_SBIN RCCTL_SYSTEMD RCCTL_UID RCCTL_TIMEOUT FAKE

# The parent of a daemon: bash under the daemon's name, with its title as the
# first argument.  A HUP it writes down, and creates the file NAME.hup.  Its
# child has both for a moment: as a daemon it takes its title after that.
mkdir -p "$tmp/sbin" "$tmp/bin" "$tmp/lib"
cp "$(command -v bash)" "$tmp/lib/carpd"
cp "$(command -v bash)" "$tmp/lib/pfsyncd"
cat >"$tmp/lib/parent" <<'PARENT'
sleep 600 &
child=$!
until read -r comm <"/proc/$child/comm" && [ "$comm" = sleep ]; do
	:
done
trap 'echo "$1 hup" >>"$FAKE/log"; touch "$FAKE/$1.hup"' HUP
trap 'echo "$1 term" >>"$FAKE/log"; kill "$child"; exit 0' TERM
echo $$ >"$FAKE/$1.pid"
while kill -0 "$child" 2>/dev/null; do
	wait "$child"
done
PARENT

# The program: -n looks at the configuration, else it goes to the background
# and returns when it runs, or fails.
cat >"$tmp/sbin/carpd" <<'DAEMON'
#!/usr/bin/env bash
name=${0##*/}
echo "$name${*:+ $*}" >>"$FAKE/log"
if [ -e "$FAKE/$name.broken" ]; then
	echo "$name.conf:3: unknown word" >&2
	exit 1
fi
case " $* " in
*" -n "*) exit 0 ;;
esac
rm -f "$FAKE/$name.pid"
(exec -a "$name: parent" "$FAKE/lib/$name" "$FAKE/lib/parent" "$name") \
    >/dev/null 2>&1 </dev/null &
until [ -s "$FAKE/$name.pid" ]; do
	kill -0 $! || exit 1
done
DAEMON

# Writes down what it is asked, and answers yes when the file is there.
cat >"$tmp/bin/systemctl" <<'SYSTEMCTL'
#!/bin/sh
echo "systemctl $*" >>"$FAKE/log"
case $1 in
is-active | is-enabled) [ -e "$FAKE/$1" ] ;;
stop | start | reload) [ ! -e "$FAKE/failing" ] ;;
esac
SYSTEMCTL
chmod 755 "$tmp/sbin/carpd" "$tmp/bin/systemctl"
PATH=$tmp/bin:$PATH

stop_all() {
	for file in "$tmp"/*.pid; do
		[ ! -s "$file" ] || kill "$(cat "$file")" 2>/dev/null
	done
}

report() {
	n=$((n + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $n - $2"
	else
		echo "not ok $n - $2"
		sed 's/^/# /' "$tmp/diag"
	fi
}

# says code text arguments: exactly this output, and this exit code
says() {
	want=$1 text=$2
	shift 2
	code=0
	sh "$rcctl" "$@" >"$tmp/out" 2>&1 || code=$?
	{
		echo "exit $code, expected $want; expected, then said:"
		echo "$text"
		cat "$tmp/out"
	} >"$tmp/diag"
	ok=0
	[ $code -eq "$want" ] && [ "$(cat "$tmp/out")" = "$text" ] || ok=1
	report $ok "exit $want: rcctl $*"
}

# logged text what: the stand-ins wrote down exactly that; starts anew
logged() {
	touch "$tmp/log"
	{
		echo "expected, then logged:"
		echo "$1"
		cat "$tmp/log"
	} >"$tmp/diag"
	ok=0
	[ "$(cat "$tmp/log")" = "$1" ] || ok=1
	report $ok "$2"
	: >"$tmp/log"
}

# await file: until it is there, at most ten seconds
await() {
	tries=100
	until [ -e "$1" ] || [ $tries -eq 0 ]; do
		tries=$((tries - 1))
		sleep 0.1
	done
}

usage="usage:	rcctl get|getdef|set service [variable [arguments]]
	rcctl [-dfq] action service ...
	rcctl disable|enable service ...
	rcctl ls lsarg"
says 1 "$usage"
says 1 "$usage" start
says 1 "$usage" nonsense carpd
says 1 "$usage" ls
says 1 "$usage" ls nonsense
says 2 "rcctl: service nonsense does not exist" start nonsense
says 2 "rcctl: service pfsyncd does not exist" check carpd pfsyncd
says 2 "rcctl: service pfsyncd does not exist" start carpd pfsyncd
says 2 "rcctl: service ../carpd does not exist" enable ../carpd
says 2 "rcctl: service pfsyncd does not exist" get pfsyncd
logged "" "a missing service stops all of them"

says 0 "carpd" ls all
says 0 "carpd" ls off
says 0 "" ls on
says 0 "carpd" ls stopped
says 0 "" ls failed
says 1 "carpd_flags=NO" get carpd
says 1 "carpd(failed)" check carpd
says 0 "carpd(ok)" stop carpd
says 1 "carpd(failed)" reload carpd
logged "" "nothing ran so far"

says 0 "" enable carpd
says 0 "carpd" ls on
says 1 "carpd" ls failed
says 0 "carpd_flags=" get carpd
says 0 "" set carpd flags -v -f /etc/other.conf
says 0 "-v -f /etc/other.conf" get carpd flags
says 0 "" get carpd status
says 0 "" enable carpd
says 0 "carpd_flags=-v -f /etc/other.conf" get all
says 1 "carpd_flags=NO" getdef carpd
says 1 "rcctl: \"flags NO\" is \"set carpd status off\"" set carpd flags NO
says 1 "$usage" set carpd timeout 3

says 0 "carpd(ok)" start carpd
logged "carpd -v -f /etc/other.conf -n
carpd -v -f /etc/other.conf" "start: configuration test, then the daemon"
says 0 "carpd(ok)" check carpd
# one that ends, anywhere, while it is looked at: only root may see whose it is
printf '#!/bin/sh\nexit 1\n' >"$tmp/bin/readlink"
chmod 755 "$tmp/bin/readlink"
if [ "$(id -u)" = 0 ]; then
	says 1 "carpd(failed)" check carpd
else
	says 0 "carpd(ok)" check carpd
fi
rm "$tmp/bin/readlink"
says 0 "" -q check carpd
says 0 "carpd(ok)" start carpd
logged "" "start: runs already"
says 0 "carpd" ls started
says 0 "" ls failed
says 0 "" ls stopped

says 0 "carpd(ok)" reload carpd
await "$tmp/carpd.hup"
logged "carpd -v -f /etc/other.conf -n
carpd hup" "reload: configuration test, then a HUP to the parent"
touch "$tmp/carpd.broken"
says 1 "carpd.conf:3: unknown word
carpd(failed)" reload carpd
says 1 "carpd.conf:3: unknown word
carpd(failed)" restart carpd
says 1 "" -q restart carpd
says 0 "carpd(ok)" check carpd
: >"$tmp/log"
rm "$tmp/carpd.broken"
says 0 "carpd(ok)
carpd(ok)" restart carpd
logged "carpd -v -f /etc/other.conf -n
carpd term
carpd -v -f /etc/other.conf -n
carpd -v -f /etc/other.conf" "restart: test, stop, start"
says 0 "doing rc_check
doing rc_stop
carpd(ok)" -d stop carpd
logged "carpd term" "stop: TERM, and its end awaited"
says 1 "carpd(failed)" check carpd

says 0 "" disable carpd
says 1 "carpd_flags=NO" get carpd
says 1 "rcctl: carpd is not enabled" set carpd flags -v
says 1 "rcctl: need -f to force start since carpd_flags=NO" start carpd
says 1 "rcctl: need -f to force start since carpd_flags=NO" restart carpd
logged "" "disabled: not started"
says 0 "carpd(ok)" -f start carpd
says 0 "carpd" ls started
says 0 "carpd(ok)" stop carpd
: >"$tmp/log"
says 0 "" set carpd status on
says 0 "carpd_flags=" get carpd
printf '# by hand\npfsyncd_flags=-v\ncarpd_flags="-v"\n' >"$RCCTL_CONF"
says 0 "-v" get carpd flags
says 0 "" set carpd flags
ok=0
printf '# by hand\npfsyncd_flags=-v\ncarpd_flags=\n' >"$tmp/want"
diff "$tmp/want" "$RCCTL_CONF" >"$tmp/diag" || ok=1
report $ok "other lines of the file stay"

# Another user than the daemons' may ask, and not act.
export RCCTL_UID=65533
says 1 "rcctl: start: need root privileges" start carpd
says 1 "rcctl: enable: need root privileges" enable carpd
says 1 "rcctl: set: need root privileges" set carpd flags -v
says 1 "carpd(failed)" check carpd
RCCTL_UID=$(id -u)
export RCCTL_UID

# A process with the daemon's name is not its parent, nor is its engine.
rm -f "$tmp/carpd.pid"
(exec bash -c 'exec -a "carpd: engine" "$FAKE/lib/carpd" "$FAKE/lib/parent" \
    carpd') >/dev/null 2>&1 </dev/null &
await "$tmp/carpd.pid"
says 1 "carpd(failed)" check carpd
stop_all
wait
: >"$tmp/log"

# Both: each for itself, in the given order, and one that fails does not keep
# the other from it.
rm -f "$tmp"/*.pid "$tmp"/*.hup "$RCCTL_CONF"
cp "$tmp/sbin/carpd" "$tmp/sbin/pfsyncd"
says 0 "carpd
pfsyncd" ls all
says 0 "" enable carpd pfsyncd
says 0 "" set pfsyncd flags -v
says 0 "carpd_flags=
pfsyncd_flags=-v" get all
says 1 "carpd
pfsyncd" ls failed
says 0 "carpd(ok)
pfsyncd(ok)" start carpd pfsyncd
logged "carpd -n
carpd
pfsyncd -v -n
pfsyncd -v" "start: both, with their flags"
says 0 "carpd(ok)
pfsyncd(ok)" check carpd pfsyncd
says 0 "carpd
pfsyncd" ls started
says 0 "carpd(ok)
pfsyncd(ok)" start carpd pfsyncd
logged "" "start: both run already"
says 0 "carpd(ok)
pfsyncd(ok)" reload carpd pfsyncd
await "$tmp/carpd.hup"
await "$tmp/pfsyncd.hup"
sort -o "$tmp/log" "$tmp/log"
logged "carpd -n
carpd hup
pfsyncd -v -n
pfsyncd hup" "reload: a HUP to each parent"
touch "$tmp/pfsyncd.broken"
rm "$tmp/carpd.hup"
says 1 "carpd(ok)
pfsyncd.conf:3: unknown word
pfsyncd(failed)" reload carpd pfsyncd
await "$tmp/carpd.hup"
says 1 "pfsyncd.conf:3: unknown word
pfsyncd(failed)
carpd(ok)
carpd(ok)" restart pfsyncd carpd
says 0 "carpd(ok)
pfsyncd(ok)" check carpd pfsyncd
rm "$tmp/pfsyncd.broken"
: >"$tmp/log"
says 0 "pfsyncd(ok)" stop pfsyncd
says 0 "carpd(ok)" check carpd
says 1 "carpd(ok)
pfsyncd(failed)" check carpd pfsyncd
says 1 "pfsyncd" ls failed
logged "pfsyncd term" "stop: that one only"
says 0 "carpd(ok)
pfsyncd(ok)" start carpd pfsyncd
: >"$tmp/log"
says 0 "carpd(ok)
pfsyncd(ok)" stop carpd pfsyncd
logged "carpd term
pfsyncd term" "stop: both, and their end awaited"
says 0 "" disable carpd pfsyncd
says 1 "rcctl: need -f to force start since carpd_flags=NO
rcctl: need -f to force start since pfsyncd_flags=NO" start carpd pfsyncd
rm "$RCCTL_CONF"
: >"$tmp/log"

export RCCTL_SYSTEMD=yes
says 0 "carpd(ok)
pfsyncd(ok)" start carpd pfsyncd
logged "systemctl is-active --quiet carpd.service
carpd -n
systemctl start carpd.service
systemctl is-active --quiet pfsyncd.service
pfsyncd -n
systemctl start pfsyncd.service" "start: both over systemd"
rm "$tmp/sbin/pfsyncd"
says 0 "carpd(ok)" start carpd
says 0 "carpd(ok)" stop carpd
says 0 "carpd(ok)" reload carpd
says 1 "carpd(failed)" check carpd
says 0 "" enable carpd
says 0 "" disable carpd
logged "systemctl is-active --quiet carpd.service
carpd -n
systemctl start carpd.service
systemctl stop carpd.service
carpd -n
systemctl reload carpd.service
systemctl is-active --quiet carpd.service
systemctl enable --quiet carpd.service
systemctl disable --quiet carpd.service" "over systemd"
says 0 "carpd(ok)
carpd(ok)" restart carpd
logged "carpd -n
systemctl stop carpd.service
systemctl is-active --quiet carpd.service
carpd -n
systemctl start carpd.service" "restart over systemd"
touch "$tmp/carpd.broken"
says 1 "carpd.conf:3: unknown word
carpd(failed)" reload carpd
rm "$tmp/carpd.broken"
touch "$tmp/is-active" "$tmp/is-enabled" "$tmp/failing"
says 0 "carpd(ok)" check carpd
says 0 "carpd" ls on
says 0 "carpd" ls started
says 0 "" ls failed
says 1 "carpd(failed)" start carpd
says 0 "" set carpd flags -v
says 0 "carpd_flags=-v" get carpd

echo "1..$n"
