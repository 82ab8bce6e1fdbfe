#!/bin/sh
# carpctl import: each directory of tests/config/import is one firewall of
# before; what comes of its files is beside it, NAME.out, NAME.err, or NAME.err
# alone where nothing may come of it.  carpd and pfsyncd accept what was
# written, and read what the guide's firewalls were.
#
# GOLDEN=write renews the expected files; read the difference before use.

cd "$(dirname "$0")/../.." || exit 1
ctl=$PWD/${CARPCTL:-carpctl/carpctl}
carpd=$PWD/${CARPD:-carpd/carpd}
pfsyncd=$PWD/${PFSYNCD:-pfsyncd/pfsyncd}
cases=$PWD/tests/config/import
LC_ALL=C
export LC_ALL

tmp=$(mktemp -d) || exit 1
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

# golden name: the output of its files, as expected
golden() {
	code=0
	(cd "$cases/$1" && "$ctl" import ./* 2>"$tmp/err" >"$tmp/out") || code=$?
	sed -i 's,\./,,' "$tmp/out" "$tmp/err"
	if [ "${GOLDEN:-}" = write ]; then
		cp "$tmp/err" "$cases/$1.err"
		[ $code -ne 0 ] || cp "$tmp/out" "$cases/$1.out"
	fi
	want=1 ok=0
	[ ! -e "$cases/$1.out" ] || want=0
	: >"$tmp/empty"
	[ $want -eq 0 ] && expected=$cases/$1.out || expected=$tmp/empty
	{
		echo "exit $code, expected $want"
		diff -u "$expected" "$tmp/out" || ok=1
		diff -u "$cases/$1.err" "$tmp/err" || ok=1
	} >"$tmp/diag" 2>&1
	[ $code -eq $want ] || ok=1
	report $ok "$1: exit $want, output and messages"
}

# into name: its files, as files
into() {
	rm -rf "${tmp:?}/$1"
	mkdir "$tmp/$1"
	"$ctl" import -o "$tmp/$1" "$cases/$1"/* 2>/dev/null
}

# accepted name: by both daemons
accepted() {
	into "$1" || echo "import: exit $?" >"$tmp/$1/said"
	(
		cd "$tmp/$1" || exit 1
		[ ! -e carpd.conf ] || "$carpd" -n -f carpd.conf
		[ ! -e pfsyncd.conf ] || "$pfsyncd" -n -f pfsyncd.conf
	) >"$tmp/said" 2>&1
	cat "$tmp/$1/said" >>"$tmp/said" 2>/dev/null
	grep -v -e 'no pass in carp' -e 'no pass: ' "$tmp/said" >"$tmp/diag"
	ok=0
	[ ! -s "$tmp/diag" ] || ok=1
	report $ok "$1: accepted"
}

# same name file sed: carpd -nn of both is equal
same() {
	sed "$3" "$2" >"$tmp/want.conf"
	chmod 600 "$tmp/want.conf"
	ok=0
	{
		"$4" -nn -f "$tmp/want.conf" >"$tmp/want" || ok=1
		"$4" -nn -f "$tmp/$1/$5" >"$tmp/got" || ok=1
		diff -u "$tmp/want" "$tmp/got" || ok=1
	} >"$tmp/diag" 2>&1
	report $ok "$1: $5 is what ${2##*/} says"
}

# says code text arguments: exit code, and the text among the output
says() {
	want=$1 text=$2
	shift 2
	code=0
	"$ctl" "$@" >"$tmp/said" 2>&1 || code=$?
	ok=0
	[ $code -eq "$want" ] || ok=1
	[ -z "$text" ] || grep -qF -- "$text" "$tmp/said" || ok=1
	{ echo "exit $code, expected $want and: $text"; cat "$tmp/said"; } \
	    >"$tmp/diag"
	report $ok "exit $want: carpctl $(echo "$*" | sed "s,$tmp/,,g")"
}

for d in "$cases"/*/; do
	golden "$(basename "$d")"
done

# the guide's pair is the pair of our samples
for f in mickey minnie; do
	accepted $f
done
same mickey conf/carpd.conf.sample 's/"eth/"rl/' "$carpd" carpd.conf
same minnie conf/carpd.conf.sample \
    's/"eth/"rl/; s/advskew 0"/advskew 100"/' "$carpd" carpd.conf
same mickey conf/pfsyncd.conf.sample 's/^syncdev.*/syncdev rl2/' \
    "$pfsyncd" pfsyncd.conf
same minnie conf/pfsyncd.conf.sample 's/^syncdev.*/syncdev rl2/' \
    "$pfsyncd" pfsyncd.conf

for f in freebsd nodev donald daisy hostname limits shared; do
	accepted $f
done

# a pass file where carpd looks for it
mkdir "$tmp/pf"
(umask 077 && echo secret >"$tmp/pf/vip.pass")
echo "ucarp -i eth0 -v 1 -a 10.0.0.1 -o $tmp/pf/vip.pass" |
    "$ctl" import -o "$tmp/pf" - 2>/dev/null
"$carpd" -nn -f "$tmp/pf/carpd.conf" >"$tmp/diag" 2>&1
grep -q 'pass "\*\*\*"' "$tmp/diag"
report $? "ucarp's pass file is carpd's"

# files: mode 0600, never over another one, all or none
into mickey
modes=$(stat -c '%a %n' "$tmp"/mickey/* | sed "s,$tmp/,,")
echo "$modes" >"$tmp/diag"
[ "$modes" = "600 mickey/carpd.conf
600 mickey/pfsyncd.conf" ]
report $? "mode 0600, and nothing else is left"
says 1 "carpd.conf exists; -f overwrites it" \
    import -o "$tmp/mickey" "$cases"/minnie/*
grep -q 'advskew 100' "$tmp/mickey/carpd.conf"
[ $? -eq 1 ]
report $? "what exists stays"
rm "$tmp/mickey/carpd.conf"
says 1 "pfsyncd.conf exists" import -o "$tmp/mickey" "$cases"/minnie/*
[ ! -e "$tmp/mickey/carpd.conf" ]
report $? "none is written when one of them exists"
says 0 "" import -f -o "$tmp/mickey" "$cases"/minnie/*
grep -q 'advskew 100' "$tmp/mickey/carpd.conf"
report $? "-f overwrites"
mkdir "$tmp/linked"
ln -s "$tmp/elsewhere" "$tmp/linked/carpd.conf"
says 1 "carpd.conf exists" import -o "$tmp/linked" "$cases"/mickey/*
says 0 "" import -f -o "$tmp/linked" "$cases"/mickey/*
[ ! -e "$tmp/elsewhere" ]
report $? "a link is replaced, not followed"
says 1 "No such file or directory" import -o "$tmp/none" \
    "$cases"/mickey/*

# nothing of a secret in a message
printf 'ifconfig carp0 pass "%s"\n' "topsecret-topsecret-topsecret" \
    >"$tmp/long.sh"
"$ctl" import "$tmp/long.sh" >"$tmp/diag" 2>&1
grep -q topsecret "$tmp/diag"
[ $? -eq 1 ]
report $? "a pass is not in the message about it"

# stdin, and wrong usage
says 1 "stdin:1: vhid 0 is too small; expected 1 to 255" import - <<'END'
ifconfig carp0 vhid 0
END
says 1 "No such file" import "$tmp/none"
says 1 "Is a directory" import "$tmp"
says 2 "missing argument" import
says 2 "missing argument" import -o
says 2 "missing argument" import -f -o "$tmp"
says 2 "unknown argument: -x" import -x "$tmp/long.sh"
says 2 "-j: only for show" -j import "$tmp/long.sh"
says 2 "import [-f] [-o directory] file ..."
