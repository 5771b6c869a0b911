/* SPDX-License-Identifier: Apache-2.0 */
/* The timer wheel. A timer sits in the slot of the tick in which it is due, whichever turn of the
 * wheel that is; when the cursor passes a slot, its timers become the due list, from which those of
 * later turns go back. The list of a slot is made with its first timer: one whose bit is clear is
 * empty, whatever its memory holds, so that a large wheel is not written to before it is used. */
#include "core/base/timerq.h"

#include <string.h>

enum { WORD_BITS = 32 };

static uint32_t word_count(uint32_t slot_count)
{
  return (slot_count + WORD_BITS - 1) / WORD_BITS;
}

size_t copal_timerq_size(uint32_t slot_count)
{
  return slot_count * sizeof(copal_node) + word_count(slot_count) * sizeof(uint32_t);
}

void copal_timerq_init(copal_timerq *q, void *mem, uint32_t slot_count, copal_dur tick,
                       copal_time now)
{
  copal_node *slots = mem;

  *q = (copal_timerq){.slots = slots, .mask = slot_count - 1};
  q->occupied = (uint32_t *)(void *)(slots + slot_count);
  while (q->shift < WORD_BITS - 1 && (UINT32_C(1) << q->shift) < tick)
    q->shift++;
  q->cursor = now >> q->shift;
  copal_list_init(&q->due);
  memset(q->occupied, 0, word_count(slot_count) * sizeof(uint32_t));
}

copal_dur copal_timerq_tick(const copal_timerq *q)
{
  return UINT32_C(1) << q->shift;
}

void copal_timer_init(copal_timer *t)
{
  t->due = COPAL_NEVER;
}

/* The tick at whose beginning the timer is due: rounded up, so that it never fires early. */
static copal_time tick_of(const copal_timerq *q, const copal_timer *t)
{
  return (t->due + copal_timerq_tick(q) - 1) >> q->shift;
}

void copal_timerq_cancel(copal_timerq *q, copal_timer *t)
{
  if (!copal_timer_is_armed(t))
    return;
  copal_list_remove(&t->node);
  t->due = COPAL_NEVER;
  q->count--;
}

/* Puts an armed timer into its slot. */
static void place(copal_timerq *q, copal_timer *t)
{
  copal_time tick = tick_of(q, t);
  if (tick < q->cursor)
    tick = q->cursor;
  const uint32_t slot = (uint32_t)tick & q->mask;
  const uint32_t bit = UINT32_C(1) << slot % WORD_BITS;
  if (!(q->occupied[slot / WORD_BITS] & bit))
    copal_list_init(&q->slots[slot]);
  q->occupied[slot / WORD_BITS] |= bit;
  copal_list_append(&q->slots[slot], &t->node);
}

void copal_timerq_arm(copal_timerq *q, copal_timer *t, copal_time due)
{
  copal_timerq_cancel(q, t);
  if (due == COPAL_NEVER)
    return;
  t->due = due;
  place(q, t);
  q->count++;
}

/* The timers of the cursor's tick become the due list, as they lie: none of them is touched. Those
 * of later turns go back when they are come upon. */
static void turn_slot(copal_timerq *q)
{
  const uint32_t slot = (uint32_t)q->cursor & q->mask;
  copal_list_move(&q->slots[slot], &q->due);
  q->occupied[slot / WORD_BITS] &= ~(UINT32_C(1) << slot % WORD_BITS);
  q->cursor++;
}

/* Slots from `slot` to the end of its word of the bit map, or of the wheel if that is nearer. */
static uint32_t slots_left_in_word(const copal_timerq *q, uint32_t slot)
{
  const uint32_t in_word = WORD_BITS - slot % WORD_BITS;
  const uint32_t in_wheel = q->mask + 1 - slot;
  return in_word < in_wheel ? in_word : in_wheel;
}

/* Ticks from the cursor to the next occupied slot, 0 to mask; the whole turn when there is none. */
static uint32_t distance(const copal_timerq *q)
{
  const uint32_t start = (uint32_t)q->cursor & q->mask;
  uint32_t d = 0;

  while (d <= q->mask) {
    const uint32_t slot = (start + d) & q->mask;
    const uint32_t word = q->occupied[slot / WORD_BITS] >> slot % WORD_BITS;
    if (word & 1)
      return d;
    d += word ? 1 : slots_left_in_word(q, slot);
  }
  return q->mask + 1;
}

/* The first timer of the due list whose tick has been passed, or NULL. */
static copal_timer *first_due(copal_timerq *q)
{
  while (!copal_list_is_empty(&q->due)) {
    copal_timer *t = COPAL_AROUND(q->due.next, copal_timer, node);
    if (tick_of(q, t) < q->cursor)
      return t;
    copal_list_remove(&t->node);
    place(q, t);
  }
  return NULL;
}

/* Goes to the next slot that has timers. Returns false when there is none until `now_tick`. */
static bool go_on(copal_timerq *q, copal_time now_tick)
{
  if (q->cursor > now_tick)
    return false;
  const uint32_t skip = q->count ? distance(q) : 0;
  if (q->count == 0 || skip > now_tick - q->cursor) {
    q->cursor = now_tick + 1;
    return false;
  }
  q->cursor += skip;
  turn_slot(q);
  return true;
}

copal_timer *copal_timerq_pop(copal_timerq *q, copal_time now)
{
  copal_timer *t;
  while (!(t = first_due(q)))
    if (!go_on(q, now >> q->shift))
      return NULL;
  copal_timerq_cancel(q, t);
  return t;
}

copal_time copal_timerq_deadline(const copal_timerq *q)
{
  if (q->count == 0)
    return COPAL_NEVER;
  if (!copal_list_is_empty(&q->due))
    return 0;
  return (q->cursor + distance(q)) << q->shift;
}
