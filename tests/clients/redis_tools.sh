#!/usr/bin/env bash
# Debian's redis-cli and redis-benchmark.
set -u
cli=(redis-cli -p "$SHOALMQ_PORT")

# check NAME EXPECTED COMMAND...: the output of the command is exactly what is expected.
check() {
  local name=$1 expected=$2 found
  shift 2
  found=$("$@" 2>&1)
  if [[ $found == "$expected" ]]; then
    echo "ok redis-cli: $name"
  else
    printf 'not ok redis-cli: %s\n    %q is not %q\n' "$name" "$found" "$expected"
  fi
}

# matches NAME PATTERN COMMAND...: the output of the command matches a pattern.
matches() {
  local name=$1 pattern=$2 found
  shift 2
  found=$("$@" 2>&1)
  if [[ $found =~ $pattern ]]; then
    echo "ok redis-cli: $name"
  else
    printf 'not ok redis-cli: %s\n    %q does not match %q\n' "$name" "$found" "$pattern"
  fi
}

from_standard_input() { printf 'QLEN piped\nPING\n' | "${cli[@]}"; }
last_argument() { printf 'from standard input' | "${cli[@]}" -x ECHO; }

"${cli[@]}" DEBUG FLUSHALL > /dev/null
check ping PONG "${cli[@]}" PING
matches add '^D-[0-9a-f]{8}-[A-Za-z0-9+/]{24}-05a1$' "${cli[@]}" ADDJOB q 'a body' 0
job=$("${cli[@]}" --raw QPEEK q 1 | sed -n 2p)
check peek $'q\n'"$job"$'\na body' "${cli[@]}" --raw QPEEK q 1
check get $'q\n'"$job"$'\na body' "${cli[@]}" --raw GETJOB FROM q
check working 300 "${cli[@]}" WORKING "$job"
check nack 1 "${cli[@]}" NACK "$job"
check 'get again' $'q\n'"$job"$'\na body' "${cli[@]}" --raw GETJOB TIMEOUT 100 FROM q
check scan $'0\n'"$job" "${cli[@]}" --raw JSCAN BUSYLOOP
check ack 1 "${cli[@]}" ACKJOB "$job"
check 'nothing to get' '' "${cli[@]}" GETJOB NOHANG FROM q
check 'nothing to get in RESP3' '' "${cli[@]}" -3 GETJOB NOHANG FROM q
check 'RESP3' PONG "${cli[@]}" -3 PING
check 'a database' PONG "${cli[@]}" -n 0 PING
check 'an error' 'BADID Invalid Job ID format.' "${cli[@]}" SHOW x
check 'commands on standard input' $'0\nPONG' from_standard_input
check 'the last argument from standard input' 'from standard input' last_argument
matches 'a password' '(^|'$'\n'')PONG$' redis-cli -p "$SHOALMQ_AUTH_PORT" --no-auth-warning -a "$SHOALMQ_PASSWORD" PING
matches 'a user and a password' '(^|'$'\n'')PONG$' \
  redis-cli -p "$SHOALMQ_AUTH_PORT" --no-auth-warning --user default --pass "$SHOALMQ_PASSWORD" PING
matches 'no password' 'NOAUTH' redis-cli -p "$SHOALMQ_AUTH_PORT" PING

benchmark=(redis-benchmark -p "$SHOALMQ_PORT" -q -n 20000 -c 20)
rate='requests per second'
matches 'redis-benchmark, ping' "PING_INLINE: .*$rate.*PING_(MBULK|BULK): .*$rate" "${benchmark[@]}" -t ping
matches 'redis-benchmark, pipelined ping' "$rate" "${benchmark[@]}" -P 32 -t ping
matches 'redis-benchmark, ADDJOB' "ADDJOB q body 0: .*$rate" "${benchmark[@]}" -P 16 ADDJOB q body 0
check 'redis-benchmark, every job is there' 20000 "${cli[@]}" QLEN q
matches 'redis-benchmark, GETJOB' "$rate" "${benchmark[@]}" -P 16 GETJOB NOHANG FROM q
check 'redis-benchmark, every job was taken' 0 "${cli[@]}" QLEN q
"${cli[@]}" DEBUG FLUSHALL > /dev/null
