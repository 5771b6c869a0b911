# SPDX-License-Identifier: Apache-2.0
# bash completion for copal(1)

_copal_commands='get put post delete fetch patch ipatch observe discover ping load keygen help'
_copal_formats='text link-format xml octet-stream json json-patch+json merge-patch+json cbor
  cbor-seq cwt senml+json sensml+json senml+cbor sensml+cbor senml-etch+json senml-etch+cbor
  concise-problem-details+cbor'
_copal_coap_options='If-Match= Uri-Host= ETag= If-None-Match Observe= Uri-Port= Uri-Path= Content-Format=
  Max-Age= Uri-Query= Hop-Limit= Accept= Block1= Block2= Size1= Size2= Proxy-Uri= Proxy-Scheme=
  Echo= No-Response= Request-Tag='

# Options of a command, long and short.
_copal_options()
{
  local common='--json --color --silent --timeout --ack-timeout --max-retransmit
    --connect-to --ipv4 --ipv6 --help --profile --psk-file --identity --ca --crl --cert --key --pin --raw-key
    --insecure -s -t -4 -6 -h'
  [[ $1 == load ]] || common+=' --verbose -v'
  local request='--accept --option --etag --hop-limit --host --token --block-size --output --include
    --pretty --no-pretty --non --con -a -O -o -i'
  local single='--window --qblock --if-match --if-none-match --write-out --retry --interface --multicast-hops -w'
  local body='--data --content-format -d -c'
  case $1 in
  keygen)
    echo '--json --silent --identity --bytes --output --append --force --ca --name --host --client --days
      --help -s -o -h'
    ;;
  ping) echo "$common --count --interval -c" ;;
  load)
    echo "$common --data --content-format --accept --option --host --block-size --non --con --clients
      --window --rate --duration --requests --warmup --method --size --paths --random --observe
      --expect --expect-body --threads --pid -d -a -O -c -w -r -n -m -p"
    ;;
  get) echo "$common $request $single --continue" ;;
  discover) echo "$common $request $single" ;;
  delete) echo "$common $request $single --no-response" ;;
  put | post | fetch | patch | ipatch) echo "$common $request $single $body --no-response" ;;
  observe)
    echo "$common $request --data --content-format --method --count --duration --exec --poll
      --no-reconnect -d -c"
    ;;
  esac
}

_copal_interfaces()
{
  ls /sys/class/net 2>/dev/null
}

_copal_files()
{
  local prefix=$1 word=$2
  compopt -o filenames 2>/dev/null
  mapfile -t COMPREPLY < <(compgen -P "$prefix" -f -- "$word")
}

# Completes the value of option $1 of command $2; returns 1 when the option takes none.
_copal_value()
{
  local cur=$3
  case $1 in
  --accept | -a | --content-format) mapfile -t COMPREPLY < <(compgen -W "$_copal_formats" -- "$cur") ;;
  -c)
    [[ $2 == ping || $2 == observe || $2 == load ]] || mapfile -t COMPREPLY < <(compgen -W "$_copal_formats" -- "$cur")
    ;;
  --option | -O)
    compopt -o nospace 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -W "$_copal_coap_options" -- "$cur")
    ;;
  --color) mapfile -t COMPREPLY < <(compgen -W 'auto always never' -- "$cur") ;;
  --block-size) mapfile -t COMPREPLY < <(compgen -W '16 32 64 128 256 512 1024' -- "$cur") ;;
  --no-response) mapfile -t COMPREPLY < <(compgen -W '2 4 5 2,4,5' -- "$cur") ;;
  --output | -o) _copal_files '' "$cur" ;;
  --data | -d) [[ $cur == @* ]] && _copal_files @ "${cur#@}" ;;
  --pid | -p) mapfile -t COMPREPLY < <(compgen -W "$(pidof copald)" -- "$cur") ;;
  --method | -m)
    local methods='get fetch'
    [[ $2 == load ]] && methods='get post put delete fetch patch ipatch'
    mapfile -t COMPREPLY < <(compgen -W "$methods" -- "$cur")
    ;;
  --exec) mapfile -t COMPREPLY < <(compgen -c -- "$cur") ;;
  --interface) mapfile -t COMPREPLY < <(compgen -W "$(_copal_interfaces)" -- "$cur") ;;
  --psk-file | --ca | --crl | --cert | --key | --raw-key) _copal_files "" "$cur" ;;
  --connect-to | --host) mapfile -t COMPREPLY < <(compgen -A hostname -- "$cur") ;;
  --etag | --if-match | --hop-limit | --token | --write-out | -w | --timeout | -t | --retry | \
    --ack-timeout | --max-retransmit | --count | --interval | --duration | \
    --poll | --multicast-hops | --clients | --window | --rate | -r | --requests | -n | --warmup | \
    --size | --paths | --bytes | --name | --client | --days | --expect | --expect-body | --threads | \
    --identity | --pin | --profile) ;;
  *) return 1 ;;
  esac
  return 0
}

_copal()
{
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
  local command=${COMP_WORDS[1]}
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    mapfile -t COMPREPLY < <(compgen -W "$_copal_commands --help --version" -- "$cur")
  elif [[ $command == help ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$_copal_commands" -- "$cur")
  elif _copal_value "$prev" "$command" "$cur"; then
    return
  elif [[ $cur == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$(_copal_options "$command")" -- "$cur")
  elif [[ $command == keygen ]]; then
    ((COMP_CWORD == 2)) && mapfile -t COMPREPLY < <(compgen -W 'psk raw ca cert crl revoke show' -- "$cur") ||
      _copal_files '' "$cur"
  else
    mapfile -t COMPREPLY < <(compgen -A hostname -- "$cur")
  fi
}

complete -F _copal copal
