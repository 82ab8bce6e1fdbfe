#!/bin/sh
# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
#
# Do the tests of state replication notice when it is wrong?  As mutants.sh
# does for the election: copies of pfsyncd/repl*.c that are spoilt in one place
# each; a mutant names the test that has to fail, `unit` (tests/unit/repl_test)
# or `sim` (tests/sim/syncsim_test), so that the simulation cannot hide behind
# the unit test.  Prints one line per mutant: what was spoilt and who saw it.
# A mutation that no longer changes the source is a failure too.
#
#	syncmutants.sh [NAME...]
#
# Environment: CC, SIM_SEEDS (default 500: 100 random networks per mutant).

set -u
cd "$(dirname "$0")/../.." || exit 1

tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT TERM HUP

CC=${CC:-cc}
SIM_SEEDS=${SIM_SEEDS:-500}
export SIM_SEEDS
unset SIM_SEED SIM_FLOW
only=" $* "
LANES=2
parts="repl repl_kernel repl_rx repl_tx repl_ends repl_defer repl_vhosts"

# shellcheck disable=SC2046	# flags are words
compile() {
	$CC -std=gnu11 -O1 -w -D_GNU_SOURCE \
	    $(pkg-config --cflags libbsd-overlay check) -I. -Ipfsyncd "$@"
}

# link TEST OBJECT...: with what is never spoilt
# shellcheck disable=SC2046
link() {
	test=$1
	shift
	$CC -o "$test" "$tmp/$kind.o" "$@" "$tmp"/base/*.o \
	    $(pkg-config --libs check libbsd-overlay) -lm
}

# Which tests or seeds failed, by what Check and the simulation print.
saw() {
	sed -n -e 's/^tests.*:[FE]:repl:\([a-z0-9_]*\):.*/\1/p' \
	    -e 's/^tests.*:[FE]:sync:.*: seed \([0-9]*\).*/seed \1/p' "$1" |
	    sort -u | head -n 4 | tr '\n' ',' | sed -e 's/,$//' -e 's/,/, /g'
}

# mutant KIND NAME FILE SED-SCRIPT: FILE without pfsyncd/ and .c
mutant() {
	kind=$1 name=$2 file=$3
	[ "$only" = "  " ] || case $only in
	*" $name "*) ;;
	*) return ;;
	esac
	n=$((n + 1))
	[ $((n % LANES)) -eq "$lane" ] || return
	dir=$tmp/lane$lane/pfsyncd
	sed "$4" "pfsyncd/$file.c" >"$dir/$file.c"
	why=
	objs=
	for o in $parts; do
		[ "$o" = "$file" ] || objs="$objs $tmp/$o.o"
	done
	# shellcheck disable=SC2086	# several objects
	if cmp -s "pfsyncd/$file.c" "$dir/$file.c"; then
		why="the mutation no longer applies"
	elif ! compile -c -o "$dir/mutant.o" "$dir/$file.c" ||
	    ! link "$dir/test" "$dir/mutant.o" $objs; then
		why="does not compile"
	elif timeout 60 "$dir/test" >"$dir/out" 2>&1; then
		why="survived"
	fi
	if [ -n "$why" ]; then
		echo "not ok $name: $why"
		bad=$((bad + 1))
	else
		by=$(saw "$dir/out")
		echo "ok $name: ${by:-$kind died}"
	fi
}

# in the function that begins with this name: from its name to its end
at() { echo "/^$1(/,/^}/$2"; }

mutants() {
	mutant unit stamps-repeat repl \
	    "$(at repl_stamp 's/r->clock + 1/r->clock/')"
	mutant unit stamps-unheard repl_rx \
	    "$(at repl_rx 's/repl_seen_stamp(r, p->hdr.clock);//')"
	mutant sim stamp-kept repl_tx \
	    "$(at put_item 's/repl_carrier(r, i, SELF, .*/repl_carrier(r, i, SELF, e->stamp);/')"
	mutant unit any-stamp repl_rx \
	    "$(at stamp_ok 's/STAMP_AHEAD);/UINT64_MAX \/ 2);/')"
	mutant unit stamps-bounded-once repl_rx \
	    "$(at stamp_ok 's/now, r->start/r->start, r->start/')"
	mutant unit master-demotes-itself repl \
	    "$(at repl_liberate 's/r->masters == 0/true/')"
	mutant sim claims-nothing repl \
	    "$(at repl_claim 's/repl_dirty(r, i, now);//')"
	mutant unit claims-all repl_kernel \
	    "$(at evidence 's/return (repl_sec.*/return (true);/')"
	mutant unit claims-own-doing repl_kernel \
	    "$(at just_told 's/e->opsec + 2 > repl_sec(r, now)/false/')"
	mutant unit compared-early repl_rx \
	    "$(at repl_compare_again 's/in_step(r, i)/true/')"
	mutant unit absent-ignored repl_rx \
	    "$(at successor 's/!r->nodes\[from\].matched/false/')"
	mutant unit absent-for-ever repl_rx \
	    "$(at successor 's/!r->nodes\[from\].matched/true/')"
	mutant unit unheard-ignored repl_rx \
	    "$(at successor 's/!r->nodes\[i\].matched/false/')"
	mutant unit successor-ignored repl_rx \
	    "$(at successor 's/!in_step(r, i)/false/')"
	mutant unit ends-at-master repl_rx \
	    "$(at rx_del 's/r->masters == 0/true/')"
	mutant unit differences-unseen repl_kernel \
	    "$(at moved_on 's/r->masters == 0/true/')"
	mutant unit differences-of-backups repl_kernel \
	    "$(at moved_on 's/r->masters == 0/false/')"
	mutant unit ends-untold repl \
	    "$(at repl_gone 's/tell = tell \&\&/tell = false \&\&/')"
	mutant unit young-at-once repl_kernel \
	    "$(at event_new 's/!(f->status & FLOW_SEEN_REPLY)/false/')"
	mutant sim young-never repl_kernel \
	    "$(at repl_grow_up 's/repl_dirty(r, i, now);//')"
	mutant unit no-bucket repl_kernel \
	    "$(at take_token 's/r->tokens < 1/false/')"
	mutant unit balanced-waits repl_kernel \
	    "$(at event_new 's/r->balanced \&\&/false \&\&/')"
	mutant unit balanced-corked repl \
	    "$(at repl_hasty 's/r->balanced \&\&/false \&\&/')"
	mutant unit balanced-strict repl_kernel \
	    "$(at fill_op 's/r->balanced \&\&/false \&\&/')"
	mutant unit balanced-behind repl_kernel \
	    "$(at fill_op 's/type == STATETBL_SET \&\&/false \&\&/')"
	mutant unit balanced-all-cross repl_kernel \
	    "$(at crosses 's/r->hooks.crosses(&e->f, r->hooks.arg)/true/')"
	mutant unit balanced-dumped repl_kernel \
	    "$(at event_new 's/ev->type == STATETBL_NEW \&\&//')"
	mutant unit balanced-undone repl_kernel \
	    "$(at reassert 's/repl_push_op(r, i, OP_SET);/;/')"
	mutant unit balanced-back repl_rx \
	    "$(at keep_ours 's/behind(e, nf)/false/')"
	mutant unit balanced-never-anew repl_rx \
	    "$(at behind 's/!(over/!(false/')"
	mutant unit balanced-life repl_rx \
	    "$(at keep_ours 's/e->life != nf->life/false/')"
	mutant unit balanced-half repl \
	    "$(at repl_balanced 's/repl_carried_all(r);//')"
	mutant unit young-forgotten repl \
	    "$(at repl_gone 's/ | F_YOUNG);/);/')"
	mutant unit no-quarantine repl_kernel \
	    "$(at event_destroy 's/quarantine || elsewhere/elsewhere/')"
	mutant unit operator-ignored repl_kernel \
	    "$(at event_destroy 's/!(ev->flags & STATETBL_EV_FOREIGN)/true/')"
	mutant unit ctid-ignored repl_kernel \
	    "$(at event_destroy 's/e->ctid != ev->ctid/false/')"
	mutant unit late-answer-revives repl_kernel \
	    "$(at event_known 's/!evidence(r, e, ev, now)))/false))/')"
	mutant unit tuple-not-anew repl_kernel \
	    "$(at event_known 's/anew = true/anew = false/')"
	mutant unit mark-ignored repl_kernel \
	    "$(at repl_event 's/!exports(r, &f)/false/')"
	mutant sim not-restored repl_kernel \
	    "$(at missing_tick 's/r->nmissing == 0/true/')"
	mutant unit full-hammered repl_kernel \
	    "$(at full_tried 's/r->full_wait \* 2 : FULL_MAX/FULL_MIN : FULL_MIN/')"
	mutant unit full-all-at-once repl_kernel \
	    "$(at table_full 's/r->full_batch = .*/r->full_batch = UINT32_MAX;/')"
	mutant unit full-for-ever repl_kernel \
	    "$(at have_put 's/r->full = .*/r->full = true;/')"
	mutant unit full-half-looked repl_kernel \
	    "$(at have_put 's/full_looked += looked/full_looked = looked/')"
	mutant unit native-is-foreign repl \
	    "$(at repl_foreign_put 's/ || r->nodes.n..native//')"
	mutant unit full-refreshed repl_rx \
	    "$(at rx_refresh 's/ && r->full/ \&\& false/')"
	mutant unit no-sweep repl_kernel \
	    "$(at sweep 's/repl_push_op(r, i, OP_VERIFY);//')"
	mutant unit no-refresh repl_kernel \
	    "$(at wants_refresh 's/return (.*/return (false);/')"
	mutant unit refreshes-always repl_kernel \
	    "$(at wants_refresh 's/return (.*/return (true);/')"
	mutant unit no-liberal repl \
	    "$(at repl_liberate 's/repl_push_op(r, i, OP_LIBERAL);/(void)0;/')"
	mutant unit liberal-not-held repl \
	    "$(at repl_hold 's/return (HOLD_LIBERAL);/;/')"
	mutant unit needless-done-at-once repl_kernel \
	    "$(at skips_done 's/s->op > r->done_table/false/')"
	mutant unit needless-of-many-too-soon repl_kernel \
	    "$(at skip 's/s->op = r/if (s->n == 0) s->op = r/')"
	mutant unit more-done-than-told repl_kernel \
	    "$(at repl_done 's/n > r->told_table - r->done_table/false/')"
	mutant unit before-we-began repl_kernel \
	    "$(at repl_event 's/now = r->start/;/')"
	mutant unit clash-both-stay repl_kernel \
	    "$(at clash 's/w->kill = true/r->want_n--/')"
	mutant unit clash-both-go repl_kernel \
	    "$(at clash 's/if (cre < cro || .*/if (true) {/')"
	mutant unit long-timeout repl_kernel \
	    "$(at fill_op 's/> TIMEOUT_MAX/> UINT32_MAX/')"
	mutant unit hints-believed repl_kernel \
	    "$(at restore 's/hint.value != repl_value(&e->f)/false/')"
	mutant sim boot-not-hinted repl_kernel \
	    "$(at restore_boot 's/!hint->booted/true/')"
	mutant unit boot-not-adopted repl_kernel \
	    "$(at restore_boot 's/n->emptied = true/;/')"
	mutant unit number-reused repl_rx \
	    "$(at repl_rx 's/n->alive = true;.*/n->alive = !leaves;/')"
	mutant sim no-adoption repl_rx \
	    "$(at peer_started 's/if (lost)/if (false)/')"
	mutant unit older-wins repl_rx \
	    "$(at newer 's/return (stamp > e->stamp)/return (true)/')"
	mutant unit no-tie-break repl_rx \
	    "$(at newer 's/r->nodes\[node\].id > .*/false);/')"
	mutant unit master-yields repl_rx \
	    "$(at rx_flow 's/keep_ours(r, .*, node, nf)/false/')"
	mutant unit late-del repl_rx \
	    "$(at rx_del 's/e->stamp > stamp/false/')"
	mutant unit del-of-live repl_rx \
	    "$(at rx_del 's/OP_IDLE, now/OP_DELETE, now/')"
	mutant unit life-ignored repl_rx \
	    "$(at replica_update 's/reset = e->life != nf->life/reset = false/')"
	mutant unit nat-ignored repl_rx \
	    "$(at replica_update 's/bool nat = .*/bool nat = false;/')"
	mutant unit update-not-liberal repl_rx \
	    "$(at replica_update 's/op |= OP_LIBERAL/;/')"
	mutant unit kill-any repl_rx \
	    "$(at rx_kill 's/ && e->stamp == stamp//')"
	mutant unit window-ignored repl_rx \
	    "$(at rx_acks 's/n->window = .*/;/')"
	mutant unit duplicates repl_rx \
	    "$(at sequence 's/return (0)/return (-1)/')"
	mutant sim keys-delete-nothing repl_rx \
	    "$(at rx_keys 's/disown(r, from, .*/;/')"
	mutant sim keys-want-nothing repl_rx \
	    "$(at rx_keys 's/repl_want(r, .*//')"
	mutant unit clock-back-stuck repl_rx \
	    "$(at rx_keys 's/repl_carrier(r, i, from, .*/;/')"
	mutant sim compares-nothing repl_rx \
	    "$(at compare 's/in_step(r, from)/true/')"
	mutant unit starts-deaf-not repl_rx \
	    "$(at rx_tlvs 's/r->starting/false/')"
	mutant unit no-credit repl_tx \
	    "$(at credit 's/r->seq - n->acked < n->window/true/')"
	mutant unit window-never-shrinks repl_tx \
	    "$(at window 's/return ((uint32_t).*/return (REPL_WINDOW);/')"
	mutant unit acks-nobody repl_tx \
	    "$(at put_acks 's/native_put_ack(.*/;/')"
	mutant unit babbles repl_tx \
	    "$(at ack_wanted 's/ || !n->alive//')"
	mutant unit spins repl_tx \
	    "$(at repl_next 's/!r->c.native || !r->link/false/')"
	mutant sim resends-nothing repl_tx \
	    "$(at item_size 's/e->flags & F_RESEND/false/')"
	mutant unit asks-once repl_tx \
	    "$(at ask_again 's/n->ask_keys\[i\] |= .*/;/')"
	mutant unit wants-once repl_tx \
	    "$(at want_again 's/!satisfied(r, w)/false/')"
	mutant unit wants-for-ever repl_tx \
	    "$(at want_again 's/!satisfied(r, w)/true/')"
	mutant unit no-probe repl_tx \
	    "$(at probe_wanted 's/r->probes++;/return (false);/')"
	mutant unit probes-for-ever repl_rx \
	    "$(at rx_acks 's/repl_acked(r);//')"
	mutant sim slow-repair repl_tx \
	    "$(at repl_rto 's/return (t < .*/return (2 * MONOTIME_SEC);/')"
	mutant unit keys-too-many repl_tx \
	    "$(at put_keys 's/fit > KEYS_MAX/false/')"
	mutant unit orphans-untold repl_tx \
	    "$(at bulk_open 's/(unsigned int)b, true/(unsigned int)b, false/')"
	mutant sim ends-forgotten repl_tx \
	    "$(at put_item 's/e->flags & F_OVER/false/')"
	mutant unit ends-only-told repl_tx \
	    "$(at put_item 's/e->flags & F_OVER/e->flags \& F_OVER \&\& f != NULL/')"
	mutant unit ends-by-timeout repl_ends \
	    "$(at repl_is_over 's/return (early ||/return (true ||/')"
	mutant unit ends-unassured repl_ends \
	    "$(at repl_is_over 's/!(f->status & FLOW_ASSURED)/false/')"
	mutant unit ends-not-claimed repl_kernel \
	    "$(at event_destroy 's/repl_is_over(&e->f, early)/e->told == e->f.timeout/')"
	mutant unit ends-of-others-unheard repl_rx \
	    "$(at rx_del 's/repl_end_heard(.*/;/')"
	mutant unit ended-flow-taken repl_rx \
	    "$(at rx_flow 's/repl_over(r, node, h, nf->stamp)/false/')"
	mutant unit ended-key-wanted repl_rx \
	    "$(at rx_keys 's/else if (repl_over(.*/else if (false)/')"
	mutant unit newer-is-over repl_ends \
	    "$(at repl_over 's/stamp > ends_at.*/false)/')"
	mutant unit end-answered-once repl_ends \
	    "$(at repl_end_next 's/t->owed = false;/;/')"
	mutant unit ends-not-told-again repl_ends \
	    "$(at repl_ends_again 's/n->ends_told = .*/;/')"
	mutant unit ends-kept-for-ever repl_ends \
	    "$(at repl_ends_done 's/n->ends_done = .*/;/')"
	mutant unit ends-kept-for-the-dead repl_ends \
	    "$(at node_tick 's/> REPL_FORGET/< 0/')"
	mutant unit ends-survive-boot repl_rx \
	    "$(at peer_started 's/repl_ends_known(r, n);/;/')"
	mutant unit ends-told-to-the-deaf repl_ends \
	    "$(at listens 's/ && !n->starting//')"
	mutant unit end-of-the-living repl_ends \
	    "$(at lives 's/return (.*/return (false);/')"
	mutant unit end-kills-the-living repl_ends \
	    "$(at repl_lived 's/return (true);/;/')"
	mutant unit end-spares-all repl_ends \
	    "$(at repl_lived 's/stamp <= r->nodes.i..apart_clock/true/')"
	mutant unit apart-not-looked repl_ends \
	    "$(at repl_apart 's/repl_overrun(r, now);/;/')"
	mutant unit apart-looks-too-soon repl_ends \
	    "$(at repl_traffic 's/!dump || r->watching/true/')"
	mutant sim apart-never-over repl_ends \
	    "$(at repl_apart 's/~F_LIVED/~0/')"
	mutant unit masters-of-hung-carpd repl_vhosts \
	    "$(at repl_vhosts_tick 's/r->vhosts_asked ||//')"
	mutant unit masters-for-backups repl_vhosts \
	    "$(at repl_two_masters 's/ && n->master//')"
	mutant unit masters-of-last-carpd repl \
	    "$(at repl_carp 's/repl_vhosts_forget(r);//')"
	mutant unit rivals-of-others repl_vhosts \
	    "$(at repl_vhosts 's/drop_rivals(r);//')"
	mutant unit rivals-by-the-packet repl_vhosts \
	    "$(at repl_rivals 's/monotime_cmp(r->rivals_due, now) > 0/false/')"
	mutant unit ack-before-kernel repl_defer \
	    "$(at kernel_has 's/F_QOP/0/')"
	mutant unit ack-before-done repl_defer \
	    "$(at kernel_has 's/return (r->done_table.*/return (1);/')"
	mutant unit ack-of-missing repl_defer \
	    "$(at kernel_has 's/ | F_MISSING//')"
	mutant unit ack-by-one-of-two repl_defer \
	    "$(at answered 's/p->owed & waited/p->owed \& who/')"
	mutant unit held-ends-before repl_kernel \
	    "$(at event_destroy 's/repl_is_held(r, i)/false/')"
	mutant unit held-is-dumped repl_kernel \
	    "$(at sweep 's/repl_is_held(r, i)/false/')"
	mutant unit waits-for-the-deaf repl_defer \
	    "$(at listeners 's/n->deaf >= DEAF/false/')"
	mutant unit leaves-silently repl_tx \
	    "$(at finish 's/if (r->leaving)/if (false)/')"
}

mkdir "$tmp/base" || exit 1
for lane in 0 1; do
	mkdir -p "$tmp/lane$lane/pfsyncd/os" &&
	    cp pfsyncd/*.h "$tmp/lane$lane/pfsyncd/" &&
	    cp pfsyncd/os/*.h "$tmp/lane$lane/pfsyncd/os/" &&
	    ln -s "$PWD/common" "$tmp/lane$lane/common" || exit 1
done
for f in pfsyncd/ends pfsyncd/statedb pfsyncd/flow pfsyncd/nosync \
    common/wire/native common/ibuf common/ipaddr common/log common/monotime; do
	compile -c -o "$tmp/base/${f##*/}.o" $f.c || exit 1
done
all=
for f in $parts; do
	compile -c -o "$tmp/$f.o" "pfsyncd/$f.c" || exit 1
	all="$all $tmp/$f.o"
done
compile -c -o "$tmp/unit.o" tests/unit/repl_test.c || exit 1
compile -c -o "$tmp/sim.o" tests/sim/syncsim_test.c || exit 1
for kind in unit sim; do
	# shellcheck disable=SC2086	# several objects
	link "$tmp/$kind" $all || exit 1
	if ! "$tmp/$kind" >"$tmp/out" 2>&1; then
		cat "$tmp/out"
		echo "not ok $kind fails without any mutation"
		exit 1
	fi
done

pids=
for lane in 0 1; do
	(
		trap - EXIT
		n=0 bad=0
		mutants
		exit "$bad"
	) &
	pids="$pids $!"
done
total=0
for pid in $pids; do
	wait "$pid"
	total=$((total + $?))
done
echo "$total not noticed"
[ "$total" -eq 0 ]
