/* SPDX-License-Identifier: Apache-2.0 */
/* Option runs: walked, sorted into a list, written and walked again. */
#include "copal/option.h"
#include "copal/error.h"
#include "core/wire/option_check.h"
#include "require.h"

enum { COUNT = 64, ROOM = 1 << 17 };
static uint8_t room[ROOM];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  copal_opt opts[COUNT], opt;
  uint8_t uints[COUNT][4];
  copal_opt_sight sight;
  copal_opt_list list = copal_opt_list_init(opts, uints, COUNT);
  copal_opt_iter it = copal_opt_iter_init(copal_span_of(data, size));
  const int err = copal_opt_check(copal_span_of(data, size), UINT32_MAX, &sight);
  REQUIRE(err == COPAL_OK || (err == COPAL_EOPTION && sight.offender != 0));
  while (copal_opt_next(&it, &opt))
    copal_opt_list_add(&list, opt.number, opt.value);
  copal_wr w = copal_wr_init((copal_mspan){room, ROOM});
  copal_opt_wr o = copal_opt_wr_init(&w);
  for (size_t i = 0; i < list.count; i++)
    copal_opt_put(&o, opts[i].number, opts[i].value);
  if (it.rd.err == COPAL_OK && list.err == COPAL_OK && size <= ROOM)
    REQUIRE(copal_span_is_equal(copal_wr_done(&w), copal_span_of(data, size)));
  return 0;
}
