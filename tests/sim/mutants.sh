#!/bin/sh
# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
#
# Does the simulation notice when the election is wrong?  Builds sim_test with
# copies of carpd/vhost.c that are spoilt in one place each; every one of them
# must make it fail.  Prints one line per mutant: what was spoilt and which
# scenarios saw it.  A mutation that no longer changes the source is a failure
# too: it has to follow the source.
#
#	mutants.sh [-t | -s] [NAME...]
#
# With -t or -s not the simulation but tests/model/check.sh is asked: the table
# of the model, or the table and spin.
#
# Environment: CC, SIM_SEEDS (random networks per mutant, default 200).

set -u
cd "$(dirname "$0")/../.." || exit 1

tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT TERM HUP

CC=${CC:-cc}
SIM_SEEDS=${SIM_SEEDS:-200}
export SIM_SEEDS
model=
case ${1:-} in
-t|-s)	model=$1; shift ;;
esac
only=" $* "
bad=0 n=0
# what these do to an election spin has to see, the table is not enough
spin=" no-yield no-yield-demoted preempts-equals no-preempt \
preempts-while-demoted ignores-demotion no-tie-break \
tie-break-both-stay "

# shellcheck disable=SC2046	# flags are words
compile() {
	$CC -std=gnu11 -O1 -w -D_GNU_SOURCE \
	    $(pkg-config --cflags libbsd-overlay check) -I. -Icarpd "$@"
}

# shellcheck disable=SC2046
link() {
	$CC -o "$1" "$tmp/sim_test.o" "$tmp/demote.o" "$2" \
	    $(pkg-config --libs check libbsd-overlay)
}

# The simulation itself, and that it finds nothing wrong with the source.
sane() {
	compile -c -o "$tmp/sim_test.o" tests/sim/sim_test.c &&
	    compile -c -o "$tmp/demote.o" carpd/demote.c &&
	    compile -c -o "$tmp/vhost.o" carpd/vhost.c &&
	    link "$tmp/sim" "$tmp/vhost.o" || return 1
	"$tmp/sim" >"$tmp/out" 2>&1 && return
	cat "$tmp/out"
	echo "not ok the simulation fails without any mutation"
	return 1
}

# modelled NAME: does the model notice it?
modelled() {
	if by=$(sh tests/model/check.sh "$model" "$tmp/carpd/vhost.c"); then
		echo "not ok $1: survived"
		bad=$((bad + 1))
		return
	fi
	case $model$spin$by in
	*spin:*) ;;
	-s*" $1 "*)
		echo "not ok $1: spin finds nothing wrong, only $by"
		bad=$((bad + 1))
		return ;;
	esac
	echo "ok $1: $by"
}

# mutant NAME SED-SCRIPT
mutant() {
	[ "$only" = "  " ] || case $only in
	*" $1 "*) ;;
	*) return ;;
	esac
	n=$((n + 1))
	sed "$2" carpd/vhost.c >"$tmp/carpd/vhost.c"
	if cmp -s carpd/vhost.c "$tmp/carpd/vhost.c"; then
		echo "not ok $1: the mutation no longer applies"
		bad=$((bad + 1))
		return
	fi
	if [ -n "$model" ]; then
		modelled "$1"
		return
	fi
	if ! compile -c -o "$tmp/vhost.o" "$tmp/carpd/vhost.c" ||
	    ! link "$tmp/sim" "$tmp/vhost.o"; then
		echo "not ok $1: does not compile"
		bad=$((bad + 1))
		return
	fi
	if timeout 300 "$tmp/sim" >"$tmp/out" 2>&1; then
		echo "not ok $1: survived"
		bad=$((bad + 1))
		return
	fi
	# ...:F:sim:scenario:0: scenario NAME: what is wrong (...)
	by=$(sed -n -e 's/.*: scenario \([a-z0-9-]*\): .*/\1/p' \
	    -e 's/.*: random network: .* \([0-9]*\))$/seed \1/p' "$tmp/out" |
	    tr '\n' ',' | sed -e 's/,$//' -e 's/,/, /g')
	echo "ok $1: ${by:-no answer}"
}

mkdir "$tmp/carpd" "$tmp/common" &&
    cp carpd/vhost.h "$tmp/carpd" && cp common/monotime.h "$tmp/common" ||
    exit 1
[ -n "$model" ] || sane || exit 1

# in the function that begins with this name: from its name to its end
at() { echo "/^$1(/,/^}/$2"; }

mutant demotion-not-judged \
    "$(at backup_demote 's/succeed(.*/;/')"
mutant demotion-forgotten \
    "$(at backup_demote 's/v->demotion = .*//')"
mutant judged-however-old \
    "$(at backup_demote 's/monotime_sub(s->now, v->word_at) >/false \&\& /')"
mutant no-yield \
    "$(at master_advert 's/yield(s, VHOST_CAUSE_PEER_BETTER);//')"
mutant no-yield-demoted \
    "$(at master_advert 's/e->demote < demotion(s)/false/')"
mutant preempts-equals \
    "$(at better_than 's/local < remote/local <= remote/')"
mutant yields-to-worse \
    "$(at master_advert 's/ || remote > local//')"
mutant no-preempt \
    "$(at better_than 's/c->preempt/false/')"
mutant preempts-always \
    "$(at better_than 's/c->preempt && //')"
mutant preempts-while-demoted \
    "$(at better_than 's/ && e->demote >= demotion(s)//')"
mutant lost-bow-out \
    "$(at is_bowout 's/return (.*/return (false);/')"
mutant no-bow-out \
    "$(at master_stop 's/send_advert(s, VHOST_ACT_BOWOUT);//')"
mutant timer-not-rearmed \
    "$(at backup_advert 's/^\t\tlisten_family(s, .*/(void)(0,/')"
mutant timer6-not-rearmed \
    "$(at backup_advert 's/? VHOST_TIMER_MD6 :/? VHOST_TIMER_MD4 :/')"
mutant ignores-demotion \
    "$(at better_than 's/e->demote > demotion(s)/false/')"
mutant demotion-not-told \
    "$(at master_demote 's/send_advert(s, VHOST_ACT_SEND);//')"
mutant late-master-stays \
    "$(at check_late 's/late_master(s);//')"
mutant late-master-claims \
    "$(at late_master 's/v->hold = .*//')"
mutant late-backup-claims \
    "$(at check_late 's/late_backup(s, .*);//')"
mutant no-tie-break \
    "$(at master_advert 's/e->ours && e->node > s->c->node/false/')"
mutant tie-break-both-stay \
    "$(at master_advert 's/e->ours && e->node > s->c->node/e->ours/')"
mutant no-jitter \
    "$(at master_advert 's/(e->random \& 0xffff)/0/')"
mutant jitter-not-kept \
    "$(at listen_family 's/ + s->v->jitter//')"
mutant gone-ignored \
    "$(at backup_gone 's/succeed(.*/;/')"
mutant gone-of-anybody \
    "$(at backup_gone 's/s->v->heard_node == s->e->node/true/')"
mutant yielded-not-followed \
    "$(at yield 's/follow(s);//')"
mutant follows-all \
    "$(at another 's/return (.*/return (false \&\&/')"
mutant taken-ignored \
    's/= master_taken/= ignore/'
mutant no-drain \
    "$(at to_backup 's/if (drain)/if (false)/')"
mutant stops-at-once \
    "$(at master_stop 's/drain_slot(s)/close_slot(s)/')"
mutant silent-claim \
    "$(at to_master 's/send_advert(s, VHOST_ACT_SEND);//')"
mutant never-insists \
    "$(at master_insist 's/send_advert(s, VHOST_ACT_SEND);//')"
mutant no-slow-peer \
    "$(at better_than 's/c->advbase > 0/false/')"
mutant send-errors-ignored \
    "$(at any_sent 's/act(s, VHOST_ACT_SNDERR)->demote = 1;//')"
mutant advbase-0-impatient \
    "$(at listen_family 's/s->c->advbase == 0/false/')"
mutant forgets-why \
    "$(at backup_timer 's/v->pending != VHOST_CAUSE_NONE/false/')"

echo "$n mutants, $((n - bad)) noticed"
[ "$bad" -eq 0 ]
