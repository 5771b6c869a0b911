#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Controls the thermostat with `copal`: finds it, reads it, wants another temperature, and watches
# the room follow. RFC 6690 section 4, RFC 7252 section 5.8.
#
#   controller.sh [URI [TARGET]]         for example: controller.sh coap://localhost 21.0
#
# The environment may name the client (COPAL) and the seconds between looks (PERIOD).
set -eu
server=${1:-coap://localhost}
wanted=${2:-21.0}
copal=${COPAL:-copal}
period=${PERIOD:-1}
looks=60

# The path of the resource whose type is $1.
find_one()
{
  "$copal" discover --json "$server" "rt=$1" |
    sed -n 's/.*"href": *"\([^"]*\)".*/\1/p' | head -n 1
}

# The room's temperature, out of its SenML record.
temperature()
{
  "$copal" get "$server$status" | sed -n 's/.*"v": *\([0-9.]*\).*/\1/p'
}

status=$(find_one temperature)
target=$(find_one temperature-setpoint)
if [ -z "$status" ] || [ -z "$target" ]; then
  echo "controller: no thermostat at $server" >&2
  exit 1
fi
echo "controller: the thermostat reports at $status and is controlled at $target"
echo "controller: the room has $(temperature) degrees; it shall have $wanted"
"$copal" put "$server$target" -d "$wanted" -c text >/dev/null

# Equal as numbers: 21.0 and 21.00 are the same temperature.
while [ "$looks" -gt 0 ]; do
  now=$(temperature)
  echo "controller: $now"
  if awk "BEGIN { exit !($now == $wanted) }"; then
    echo "controller: the room has reached $wanted degrees"
    exit 0
  fi
  looks=$((looks - 1))
  sleep "$period"
done
echo "controller: the thermostat does not react" >&2
exit 1
