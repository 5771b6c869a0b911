# SPDX-License-Identifier: Apache-2.0
# fish completion for copal(1)

set -l commands get put post delete fetch patch ipatch observe discover ping load
set -l keygen '__fish_seen_subcommand_from keygen'
set -l requests get put post delete fetch patch ipatch observe discover
set -l singles get put post delete fetch patch ipatch discover
set -l bodies put post fetch patch ipatch
set -l formats text link-format xml octet-stream json json-patch+json merge-patch+json cbor \
    cbor-seq cwt senml+json sensml+json senml+cbor sensml+cbor senml-etch+json senml-etch+cbor \
    concise-problem-details+cbor
set -l coap_options If-Match= Uri-Host= ETag= If-None-Match Observe= Uri-Port= Uri-Path= \
    Content-Format= Max-Age= Uri-Query= Hop-Limit= Accept= Block1= Block2= Size1= Size2= \
    Proxy-Uri= Proxy-Scheme= Echo= No-Response= Request-Tag=

function __copal_data
    set -l word (commandline -ct)
    if string match -q '@*' -- $word
        for file in (__fish_complete_path (string sub -s 2 -- $word))
            echo "@$file"
        end
    end
end

complete -c copal -f
set -l none "not __fish_seen_subcommand_from $commands keygen help"
complete -c copal -n $none -a get -d 'Read a resource'
complete -c copal -n $none -a put -d 'Create or replace a resource'
complete -c copal -n $none -a post -d 'Hand data to a resource, or create one below it'
complete -c copal -n $none -a delete -d 'Delete a resource'
complete -c copal -n $none -a fetch -d 'Read the parts that the payload names'
complete -c copal -n $none -a patch -d 'Change a part of a resource'
complete -c copal -n $none -a ipatch -d 'Change a part of a resource, idempotently'
complete -c copal -n $none -a observe -d 'Watch a resource change'
complete -c copal -n $none -a discover -d 'Find servers, or list the resources of one'
complete -c copal -n $none -a ping -d 'See whether an endpoint is there'
complete -c copal -n $none -a load -d 'Measure a server under load'
complete -c copal -n $none -a keygen -d 'Make keys and certificates'
complete -c copal -n $none -a help -d 'Explain a command'
complete -c copal -n $none -l version -d 'Show the version'
complete -c copal -n '__fish_seen_subcommand_from help' -a "$commands keygen"

set -l any "__fish_seen_subcommand_from $commands"
complete -c copal -n $any -a '(__fish_print_hostnames)'
complete -c copal -n $any -l json -d 'Print a JSON object about the response'
complete -c copal -n $any -l color -x -a 'auto always never' -d 'Colours'
complete -c copal -n $any -s s -l silent -d 'No messages about errors'
complete -c copal -n "__fish_seen_subcommand_from $requests ping" -s v -l verbose -d 'Show every message'
complete -c copal -n $any -s t -l timeout -x -d 'Give up after these seconds'
complete -c copal -n $any -l ack-timeout -x -d 'Seconds before the first retransmission'
complete -c copal -n $any -l max-retransmit -x -d 'Retransmissions at most'
complete -c copal -n $any -l connect-to -x -a '(__fish_print_hostnames)' -d 'Send to this address'
complete -c copal -n $any -l profile -x -d 'Credentials for coaps, by name'
complete -c copal -n $any -l psk-file -r -d 'Keys for coaps'
complete -c copal -n $any -l identity -x -d 'The one of them to be'
complete -c copal -n $any -l ca -r -d 'Who may have signed the certificate of the server'
complete -c copal -n $any -l crl -r -d 'Certificates that these have revoked'
complete -c copal -n $any -l cert -r -d 'Our own certificate'
complete -c copal -n $any -l key -r -d 'Its private key'
complete -c copal -n $any -l pin -x -d 'Public key of the server'
complete -c copal -n $any -l raw-key -r -d 'Our private key, shown as a raw public key'
complete -c copal -n $any -l insecure -d 'Take any server for the right one'
complete -c copal -n $any -s 4 -l ipv4 -d 'Use IPv4 only'
complete -c copal -n $any -s 6 -l ipv6 -d 'Use IPv6 only'
complete -c copal -n $any -s h -l help -d 'Show help'

set -l request "__fish_seen_subcommand_from $requests"
complete -c copal -n $request -s a -l accept -x -a "$formats" -d 'What the response shall be'
complete -c copal -n $request -s O -l option -x -a "$coap_options" -d 'Add a CoAP option'
complete -c copal -n $request -l etag -x -d 'Ask whether this representation is still valid'
complete -c copal -n $request -l hop-limit -x -d 'Proxies to pass at most'
complete -c copal -n $request -l host -x -a '(__fish_print_hostnames)' -d 'Uri-Host to send'
complete -c copal -n $request -l token -x -d 'Token to use'
complete -c copal -n $request -l block-size -x -a '16 32 64 128 256 512 1024' -d 'Largest block'
complete -c copal -n $request -s o -l output -r -F -d 'Write the body to a file'
complete -c copal -n $request -s i -l include -d 'Show code and options above the body'
complete -c copal -n $request -l pretty -d 'Format the body even if not on a terminal'
complete -c copal -n $request -l no-pretty -d 'Print bytes even on a terminal'
complete -c copal -n $request -l non -d 'Send the request Non-confirmable'
complete -c copal -n $request -l con -d 'Send the request Confirmable'

set -l single "__fish_seen_subcommand_from $singles"
complete -c copal -n $single -l if-match -x -d 'Only with this ETag'
complete -c copal -n $single -l if-none-match -d 'Only if the resource does not exist'
complete -c copal -n $single -s w -l write-out -x -d 'Print at the end'
complete -c copal -n $single -l window -x -a '1 4 16 64' -d 'Blocks under way at once'
complete -c copal -n $single -l qblock -d 'Send large bodies in sets of blocks'
complete -c copal -n $single -l retry -x -d 'Repeat the request after a timeout'
complete -c copal -n $single -l interface -x -a '(command ls /sys/class/net 2>/dev/null)' -d 'For groups: send by this interface'
complete -c copal -n $single -l multicast-hops -x -d 'For groups: routers to pass, plus one'
complete -c copal -n '__fish_seen_subcommand_from get' -l continue -d 'Go on with a download'

set -l body "__fish_seen_subcommand_from $bodies"
complete -c copal -n $body -s d -l data -x -a '(__copal_data)' -d 'Payload: text, @file or -'
complete -c copal -n $body -s c -l content-format -x -a "$formats" -d 'What the payload is'
complete -c copal -n "$body delete" -l no-response -x -a '2 4 5 2,4,5' -d 'Responses not wanted'

complete -c copal -n '__fish_seen_subcommand_from ping' -s c -l count -x -d 'Pings to send'
complete -c copal -n '__fish_seen_subcommand_from ping' -l interval -x -d 'Seconds between pings'

set -l observe '__fish_seen_subcommand_from observe'
complete -c copal -n $observe -s d -l data -x -a '(__copal_data)' -d 'Payload of a FETCH'
complete -c copal -n $observe -l content-format -x -a "$formats" -d 'What the payload is'
complete -c copal -n $observe -l method -x -a 'get fetch' -d 'Method'
complete -c copal -n $observe -s c -l count -x -d 'Representations to wait for'
complete -c copal -n $observe -l duration -x -d 'End after these seconds'
complete -c copal -n $observe -l exec -x -a '(__fish_complete_command)' -d 'Run for each representation'
complete -c copal -n $observe -l poll -x -d 'Ask so often if the server does not notify'
complete -c copal -n $observe -l no-reconnect -d 'End when the server is lost'

set -l load '__fish_seen_subcommand_from load'
complete -c copal -n $load -s d -l data -x -a '(__copal_data)' -d 'Payload: text, @file or -'
complete -c copal -n $load -l content-format -x -a "$formats" -d 'What the payload is'
complete -c copal -n $load -s a -l accept -x -a "$formats" -d 'What the response shall be'
complete -c copal -n $load -s O -l option -x -a "$coap_options" -d 'Add a CoAP option'
complete -c copal -n $load -l host -x -a '(__fish_print_hostnames)' -d 'Uri-Host to send'
complete -c copal -n $load -l block-size -x -a '16 32 64 128 256 512 1024' -d 'Largest block'
complete -c copal -n $load -l non -d 'Send the requests Non-confirmable'
complete -c copal -n $load -l con -d 'Send the requests Confirmable'
complete -c copal -n $load -s c -l clients -x -d 'Sockets that send, or observers'
complete -c copal -n $load -s w -l window -x -d 'Requests under way for each'
complete -c copal -n $load -s r -l rate -x -d 'Requests or changes per second'
complete -c copal -n $load -l duration -x -d 'Seconds to measure'
complete -c copal -n $load -s n -l requests -x -d 'End after so many'
complete -c copal -n $load -l warmup -x -d 'Seconds before that, not counted'
complete -c copal -n $load -s m -l method -x -a 'get post put delete fetch patch ipatch' -d 'Method'
complete -c copal -n $load -l size -x -d 'A payload of this size is made up'
complete -c copal -n $load -l paths -x -d 'Numbers that %d in the URI stands for'
complete -c copal -n $load -l random -d 'Draw that number'
complete -c copal -n $load -l observe -d 'Clients observe, one more changes'
complete -c copal -n $load -l expect -x -d 'What each answer must be'
complete -c copal -n $load -l expect-body -x -a '(__copal_data)' -d 'What each body must be'
complete -c copal -n $load -l threads -x -d 'That share the clients'
complete -c copal -n $load -s p -l pid -x -a '(__fish_complete_pids)' -d 'Of a server here'

complete -c copal -n $keygen -a 'psk raw ca cert crl revoke show'
complete -c copal -n $keygen -F
complete -c copal -n $keygen -l json -d 'Print a JSON object about the outcome'
complete -c copal -n $keygen -s s -l silent -d 'No messages about errors'
complete -c copal -n $keygen -l identity -x -d 'Of a psk'
complete -c copal -n $keygen -l bytes -x -a '16 32' -d 'Of a psk'
complete -c copal -n $keygen -s o -l output -r -F -d 'File of a key, directory of a ca'
complete -c copal -n $keygen -l append -d 'Add the psk to the file'
complete -c copal -n $keygen -l force -d 'Replace files'
complete -c copal -n $keygen -l ca -x -a '(__fish_complete_directories)' -d 'That signs: its directory'
complete -c copal -n $keygen -l name -x -d 'Of a ca'
complete -c copal -n $keygen -l host -x -d 'The server that the cert is for'
complete -c copal -n $keygen -l client -x -d 'The client that it is for'
complete -c copal -n $keygen -l days -x -d 'Of validity'
complete -c copal -n $keygen -s h -l help -d 'Show help'
