#!/bin/sh
# carpctl against canned answers: every form of output beside its golden
# file, every command as the daemon receives it, every exit code.
#
# GOLDEN=write renews the golden files; read the difference before use.

cd "$(dirname "$0")/../.." || exit 1
ctl=${CARPCTL:-carpctl/carpctl}
fake=${FAKECARPD:-tests/shell/fakecarpd}
golden=tests/shell/golden
TZ=UTC
LC_ALL=C
export TZ LC_ALL

tmp=$(mktemp -d) || exit 1
sock=$tmp/carpd.sock
pid=
n=0
trap 'scene_end; rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM

scene_end() {
	[ -z "$pid" ] || kill "$pid" 2>/dev/null
	pid=
}

# Its listener is ready when fakecarpd returns.
scene() {
	scene_end
	pid=$("$fake" "$sock" "$1") || exit 1
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

# golden name arguments: output as in the file, exit 0
golden() {
	name=$1
	shift
	code=0
	"$ctl" -s "$sock" "$@" >"$tmp/out" 2>&1 || code=$?
	[ "${GOLDEN:-}" != write ] || cp "$tmp/out" "$golden/$name"
	ok=0
	diff -u "$golden/$name" "$tmp/out" >"$tmp/diag" 2>&1 || ok=1
	[ $code -eq 0 ] || { ok=1; echo "exit $code" >>"$tmp/diag"; }
	report $ok "carpctl $* ($name)"
}

# says code text arguments: exit code, and the text among the output
says() {
	want=$1 text=$2
	shift 2
	code=0
	"$ctl" "$@" >"$tmp/out" 2>&1 || code=$?
	ok=0
	[ $code -eq "$want" ] || ok=1
	[ -z "$text" ] || grep -qF -- "$text" "$tmp/out" || ok=1
	{
		echo "exit $code, expected $want and: $text"
		cat "$tmp/out"
	} >"$tmp/diag"
	report $ok "exit $want: carpctl $(echo "$*" | sed "s,$tmp/,,")"
}

# The daemon's side of a command: the scene `echo` refuses all of them.
sends() {
	text=$1
	shift
	says 1 "carpctl: $text" -s "$sock" "$@"
}

scene many
golden show.txt show
golden show.json show -j
golden show.json -j show
golden show_carp0.txt show carp0
golden show_carp0.txt sh carp0
golden show_carp1.json show carp1 -j
golden show_carp1.json show -j carp1
golden show_demotion.txt show demotion
golden show_demotion.json show demotion -j
golden show_peers.txt show peers
golden show_peers.json show -j peers
golden show_counters.txt show counters
golden show_counters.json show counters -j
golden show_history.txt show history
golden show_history.json show hist -j

says 1 "carpctl: no such interface: carp?[9" -s "$sock" show carp9
says 11 INIT -s "$sock" show --check carp2
says 10 BACKUP -s "$sock" show carp1 --check
says 12 SPLIT -s "$sock" show --check
says 12 SPLIT -s "$sock" show --check carp0
says 0 "" -s "$sock" demote 50
says 0 "" -s "$sock" reload

scene one
says 0 MASTER -s "$sock" show --check
says 0 MASTER -s "$sock" show --check carp0

scene backup
golden show_backup.txt show
golden show_backup.json show -j
says 10 BACKUP -s "$sock" show --check carp3
says 11 INIT -s "$sock" show --check

scene echo
sends "demote carp 1" demote
sends "demote carp 50" demote 50
sends "demote dmz 255" dem -g dmz 255
sends "demote carp -1" promote
sends "demote dmz -7" promote -g dmz 7
sends "state carp0 MASTER" state carp0 master
sends "state carp0 BACKUP" st carp0 b
sends "state carp0 INIT" state carp0 init
sends "set 'carp0' key 1 vhid 0 value 200 group ''" set carp0 advskew 200
sends "set 'carp0' key 0 vhid 4 value 0 group ''" \
    set carp0 vhid 4 advbase 0
sends "set 'carp0' key 2 vhid 0 value 1 group 'dmz'" set carp0 group dmz
sends "set 'carp0' key 3 vhid 0 value 1 group 'dmz'" set carp0 -dmz
sends "set '' key 4 vhid 0 value 1 group ''" set preempt yes
sends "set '' key 4 vhid 0 value 0 group ''" set preempt no
sends "allow 1" enable
sends "allow 0" disable
sends "CTL_RELOAD" reload
sends "log 1" log verbose
sends "log 0" log brief
says 3 "carp0: state transition: BACKUP -> MASTER (bow-out)" \
    -s "$sock" monitor
says 3 "carpd closed the connection" -s "$sock" mon

scene mute
says 3 "carpd closed the connection" -s "$sock" show
says 3 "carpd closed the connection" -s "$sock" show --check

scene garbage
says 3 "wrong message size" -s "$sock" show

scene_end
says 3 "$sock: carpd is not running" -s "$sock" show
says 3 "$tmp/none: carpd is not running" -s "$tmp/none" reload
says 3 "carpd is not running" -s "$tmp/none" show --check

says 0 "carpctl " -V
says 2 "usage: carpctl"
says 2 "usage: carpctl" -x show
says 2 "unknown argument: nonsense" nonsense
says 2 "ambiguous argument: s" s
says 2 "missing argument" state carp0
says 2 "unknown argument: more" reload more
says 2 "expected 0 to 254" set carp0 advskew 255
says 2 "expected 1 to 255" demote 256
says 2 "longer than 15 characters" demote -g sixteen_letters_
says 2 "-j: only for show" -j reload
says 2 "--check: only for the state" show peers --check
says 2 "vhid: only for advskew" set carp0 vhid 1 group dmz

echo "1..$n"
