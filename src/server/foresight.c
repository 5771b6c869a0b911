/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of the requests in a batch. What is not a plain request is passed over. */
#include "server/foresight.h"

#include "copal/error.h"
#include "copal/msg.h"
#include "server/key.h"

enum {
  KEYS_MAX = 64,
  KEY_MAX = 48, /* bytes; longer ones are not looked at */
};

/* Writes the key of a request. Returns false when there is none. */
static bool read_key(const udp_slot *slot, copal_mspan room, copal_span *key)
{
  copal_msg msg;
  const copal_span dgram = copal_span_of(slot->bytes.ptr, slot->bytes.len);
  if (copal_msg_parse(dgram, &msg) != COPAL_OK || !copal_code_is_request(msg.code))
    return false;
  copal_wr w = copal_wr_init(room);
  if (key_write(&w, msg.options) != COPAL_OK)
    return false;
  *key = copal_wr_done(&w);
  return true;
}

static void look_at_resources(store_port *port, const udp_slot *slots, int count)
{
  const size_t wanted = count > 1 ? store_foresight(port) : 0;
  const size_t most = wanted < KEYS_MAX ? wanted : KEYS_MAX;
  uint8_t bytes[KEYS_MAX][KEY_MAX];
  copal_span keys[KEYS_MAX];
  size_t found = 0;
  if (most == 0)
    return;
  for (int i = 0; i < count && found < most; i++)
    found += read_key(&slots[i], (copal_mspan){bytes[found], KEY_MAX}, &keys[found]);
  store_foresee(port, keys, found);
}

void foresight_look(const copal_ep *ep, store_port *port, const udp_slot *slots, int count)
{
  for (int i = 0; i < count; i++)
    copal_ep_foresee(ep, &slots[i].path, copal_span_of(slots[i].bytes.ptr, slots[i].bytes.len));
  look_at_resources(port, slots, count);
}
