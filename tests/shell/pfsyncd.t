#!/bin/sh
# pfsyncd's options: what it refuses, what it prints, and with which exit
# code.  Starts no daemon and needs no root.

cd "$(dirname "$0")/../.." || exit 1
pfsyncd=${PFSYNCD:-pfsyncd/pfsyncd}
case $pfsyncd in
*/*) name=$pfsyncd ;;
*) name=./$pfsyncd ;;
esac
LC_ALL=C
export LC_ALL

tmp=$(mktemp -d) || exit 1
conf=$tmp/pfsyncd.conf
n=0
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM

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
	"$name" "$@" >"$tmp/out" 2>&1 || code=$?
	{
		echo "exit $code, expected $want; expected, then said:"
		echo "$text"
		cat "$tmp/out"
	} >"$tmp/diag"
	ok=0
	[ $code -eq "$want" ] && [ "$(cat "$tmp/out")" = "$text" ] || ok=1
	report $ok "exit $want: pfsyncd $*"
}

# fails text arguments: exit 1, and the text among the output
fails() {
	text=$1
	shift
	code=0
	"$name" "$@" >"$tmp/out" 2>&1 || code=$?
	{ echo "exit $code; expected to say: $text"; cat "$tmp/out"; } \
	    >"$tmp/diag"
	ok=0
	[ $code -eq 1 ] && grep -qF -- "$text" "$tmp/out" || ok=1
	report $ok "exit 1: pfsyncd $*"
}

write() {
	(umask 077 && cat >"$conf")
}

usage="usage: pfsyncd [-dnVv] [-D macro=value] [-f file] [-s socket] [-u user]"
version=$(sed -n 's/^VERSION=[[:space:]]*//p' Makefile)

says 0 "pfsyncd $version" -V
fails "$usage" -x
fails "$usage" -f
fails "$usage" something
fails "$usage" -D nothing -n
fails "$tmp/missing" -n -f "$tmp/missing"

write <<'CONF'
syncdev sync0
CONF
says 0 "" -n -f "$conf"
"$name" -nn -f "$conf" >"$tmp/printed" 2>"$tmp/diag" || echo failed >>"$tmp/diag"
ok=0
{ [ ! -s "$tmp/diag" ] && grep -q '^syncdev sync0$' "$tmp/printed"; } || ok=1
report $ok "-nn prints the file"
write <"$tmp/printed"
says 0 "$(cat "$tmp/printed")" -nn -f "$conf"

write <<'CONF'
syncdev $dev
CONF
says 0 "" -n -D dev=sync7 -f "$conf"
"$name" -nn -D dev=sync7 -f "$conf" >"$tmp/diag" 2>&1
ok=0
grep -q '^syncdev sync7$' "$tmp/diag" || ok=1
report $ok "-D defines a macro"
fails "$conf:1: " -n -f "$conf"

key=00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff
write <<CONF
syncdev sync0
key "$key"
CONF
says 0 "" -n -f "$conf"
"$name" -nn -f "$conf" >"$tmp/diag" 2>&1
ok=0
{ grep -q '^key "\*\*\*"' "$tmp/diag" && ! grep -q "$key" "$tmp/diag"; } ||
    ok=1
report $ok "-nn does not show the key"
chmod 644 "$conf"
fails "$conf" -n -f "$conf"
chmod 600 "$conf"

write <<'CONF'
syncdev sync0
nonsense
CONF
fails "$conf:2: " -n -f "$conf"
# to start takes root; these do not get that far
if [ "$(id -u)" -eq 0 ]; then
	fails "$tmp/missing" -d -f "$tmp/missing" -s "$tmp/sock"
	fails "$conf:2: " -d -f "$conf" -s "$tmp/sock"
	echo "syncdev sync0" | write
	fails "user no_such_user does not exist" -d -f "$conf" \
	    -s "$tmp/sock" -u no_such_user
else
	fails "need root privileges" -d -f "$conf" -s "$tmp/sock"
fi
ok=0
echo "left: $(ls "$tmp")" >"$tmp/diag"
{ [ ! -e "$tmp/sock" ] && [ ! -e "$tmp/sock.states" ]; } || ok=1
report $ok "nothing is left of those that did not start"

echo "1..$n"
