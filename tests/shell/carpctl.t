#!/bin/sh
# carpctl against canned answers: every form of output beside its golden
# file, every command as the daemon receives it, every exit code.
#
# GOLDEN=write renews the golden files; read the difference before use.

cd "$(dirname "$0")/../.." || exit 1
ctl=${CARPCTL:-carpctl/carpctl}
fake=${FAKECARPD:-tests/shell/fakecarpd}
fakesync=${FAKEPFSYNCD:-tests/shell/fakepfsyncd}
golden=tests/shell/golden
TZ=UTC
LC_ALL=C
export TZ LC_ALL

tmp=$(mktemp -d) || exit 1
sock=$tmp/carpd.sock
sync=$tmp/pfsyncd.sock
pid=
syncpid=
n=0
trap 'scene_end; rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM

# end PID: who connects before it is dead still reaches it.
end() {
	[ -n "$1" ] || return 0
	kill "$1" 2>/dev/null
	while case $(ps -o stat= -p "$1") in "" | Z*) false ;; esac; do
		sleep 0.01
	done
}

scene_end() {
	end "$pid"
	end "$syncpid"
	pid=
	syncpid=
}

# Its listener is ready when fakecarpd returns.
scene() {
	scene_end
	pid=$("$fake" "$sock" "$1") || exit 1
}

# pfsyncd's, beside or without one of carpd's.
sync_scene() {
	end "$syncpid"
	syncpid=$("$fakesync" "$sync" "$1") || exit 1
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
	"$ctl" -s "$sock" ${syncpid:+-S "$sync"} "$@" >"$tmp/out" 2>&1 || code=$?
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

# a key: 64 digits, another one each time, into a new file of its owner
key1=$("$ctl" keygen) key2=$("$ctl" keygen -)
ok=0
echo "$key1 $key2" | grep -Eqx '[0-9a-f]{64} [0-9a-f]{64}' || ok=1
[ "$key1" != "$key2" ] || ok=1
echo "not two keys" >"$tmp/diag"
report $ok "carpctl keygen"
says 0 "" keygen "$tmp/key"
ok=0
key1=$(cat "$tmp/key")
echo "$key1" | grep -Eqx '[0-9a-f]{64}' || ok=1
[ "$(stat -c %a "$tmp/key")" = 600 ] || ok=1
ls -l "$tmp/key" >"$tmp/diag"
report $ok "carpctl keygen file: 0600"
says 1 "File exists" keygen "$tmp/key"
ok=0
[ "$key1" = "$(cat "$tmp/key")" ] || ok=1
report $ok "which is not written over"
says 1 "No such file" keygen "$tmp/no/key"
says 2 "unknown argument: -x" keygen -x

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
says 12 SPLIT -s "$sock" show carp1 --check
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
sends "set 'carp0' key 3 vhid 0 value 1 group 'dmz'" \
    set carp0 -group dmz
sends "set '' key 5 vhid 0 value 3 group ''" set log 3
sends "set 'carp0' key 6 vhid 0 value 1 group ''" up carp0
sends "set 'carp0' key 6 vhid 0 value 0 group ''" down carp0
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

# pfsyncd: alone, carpd is not asked
scene_end
sync_scene good
golden sync.txt show sync
golden sync.json show sync -j
golden sync.json -j show sync
says 0 "" -S "$sync" sync now
says 0 "" -S "$sync" sync flush
says 3 "$sock: carpd is not running" -s "$sock" -S "$sync" show
sync_scene bulk
golden sync_bulk.txt show sync
golden sync_bulk.json show sync -j
sync_scene alone
golden sync_alone.txt show sync
golden sync_alone.json show sync -j
sync_scene foreign
golden sync_foreign.txt show sync
golden sync_foreign.json show sync -j
sync_scene starting
says 1 "carpctl: starting" -S "$sync" show sync
sync_scene echo
says 1 "carpctl: CTL_NOW?[2J" -S "$sync" sync now
says 1 "carpctl: CTL_FLUSH?[2J" -S "$sync" sync flush
sync_scene cut
says 3 "pfsyncd closed the connection" -S "$sync" show sync
sync_scene nothing
says 3 "answer not understood" -S "$sync" show sync -j
sync_scene wild
says 3 "answer not understood" -S "$sync" show sync
sync_scene escape
says 3 "answer not understood" -S "$sync" show sync
sync_scene garbage
says 3 "wrong message size" -S "$sync" show sync
sync_scene mute
says 3 "pfsyncd closed the connection" -S "$sync" sync now

# the last line of the one screen
scene one
sync_scene good
golden show_sync.txt show
both="-s $sock -S $sync"
# shellcheck disable=SC2086 # two options
{
says 0 '"log":2,"verbose":false}' $both show -j
says 0 MASTER $both show --check
sync_scene bulk
says 0 "pfsync: eth2, states missing in the kernel, whose table is full,\
 otherwise in sync with 1 of 3 peers, hears 1 pfsync(4) peer,\
 states local 12345 remote 6789, lag 1.234 ms, bulk running, 4500 of 10000\
 (45%), 3s left, demotes carp (bulk)" $both show
sync_scene alone
says 0 "pfsync: eth2 (no link), no peer heard, states local 12345 remote 0,\
 bulk waiting" $both show
sync_scene foreign
says 0 "pfsync: eth2, hears 1 pfsync(4) peer, 3 not taken, states local 12345 remote 6789,\
 bulk failed, 6789 of 6789 (100%)" $both show
}
sync_scene mute
says 3 "pfsyncd closed the connection" -s "$sock" -S "$sync" show
says 3 "carp0: carpdev eth0" -s "$sock" -S "$sync" show
scene one
says 3 "pfsyncd is not running" -s "$sock" -S "$tmp/none" show
says 0 "carp0: carpdev eth0" -s "$sock" show
says 3 "$tmp/none: pfsyncd is not running" -S "$tmp/none" show sync
says 3 "$tmp/none: pfsyncd is not running" -S "$tmp/none" sync now

# Of the rules of this machine nothing is to be said.
real=$ctl
ctl=$tmp/ctl
printf '#!/bin/sh\nPATH=/nonexistent exec %s "$@"\n' "$PWD/${real#"$PWD"/}" \
    >"$ctl"
chmod +x "$ctl"
scene well
sync_scene good
says 0 "nothing wrong" -s "$sock" doctor
says 0 '{"schema":1,"findings":[]}' -s "$sock" -S "$sync" doctor -j
says 3 "pfsyncd is not running" -s "$sock" -S "$tmp/none" doctor
scene many
sync_scene good
says 20 "carp0: split brain: 172.16.0.66 is MASTER of vhid 1, too, for 3s; " \
    -s "$sock" -S "$sync" doctor
says 20 "carp2: vhid 5 is INIT: eth2 has no link; " -s "$sock" doctor
says 20 "carp0: 172.16.0.66, which advertises vhid 1, has our pass phrase but\
 another address list: 192.0.2.1 is only here; " -s "$sock" doctor
says 20 '"code":"vrrp","about":"carp1","cause":"VRRP router 172.16.0.9 on' \
    -s "$sock" doctor -j
sync_scene alone
says 20 "eth2: the sync link is down; " -s "$sock" -S "$sync" doctor
sync_scene mute
says 3 "pfsyncd closed the connection" -s "$sock" -S "$sync" doctor
ctl=$real

scene mute
says 3 "carpd closed the connection" -s "$sock" doctor
says 3 "carpd closed the connection" -s "$sock" show
says 3 "carpd closed the connection" -s "$sock" show --check

scene garbage
says 3 "wrong message size" -s "$sock" show

scene escape
says 3 "answer not understood" -s "$sock" show
says 3 "answer not understood" -s "$sock" doctor

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
says 2 "expected: now, flush" sync
says 2 "-j: only for show" -j sync now
says 2 "expected 0 to 254" set carp0 advskew 255
says 2 "expected 1 to 255" demote 256
says 2 "longer than 15 characters" demote -g sixteen_letters_
says 2 "-j: only for show and doctor" -j reload
says 2 "unknown argument: --check" doctor --check
says 2 "--check: only for the state" show peers --check
says 2 "vhid: only for advskew" set carp0 vhid 1 group dmz

echo "1..$n"
