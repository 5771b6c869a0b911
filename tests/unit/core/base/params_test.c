/* SPDX-License-Identifier: Apache-2.0 */
/* Transmission parameters. RFC 7252 section 4.8. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants those four first. */
#include <cmocka.h>

#include "copal/error.h"
#include "copal/params.h"

static void rfc7252_4_8_2_default_derived_times(void **state)
{
  (void)state;
  const copal_params p = copal_params_default();
  assert_int_equal(copal_params_check(&p), COPAL_OK);
  assert_int_equal(copal_max_transmit_span(&p), 45 * COPAL_SECOND);
  assert_int_equal(copal_max_transmit_wait(&p), 93 * COPAL_SECOND);
  assert_int_equal(copal_max_rtt(&p), 202 * COPAL_SECOND);
  assert_int_equal(copal_exchange_lifetime(&p), 247 * COPAL_SECOND);
  assert_int_equal(copal_non_lifetime(&p), 145 * COPAL_SECOND);
}

static void rfc7252_4_8_2_times_follow_the_parameters(void **state)
{
  (void)state;
  copal_params p = copal_params_default();
  p.ack_timeout = COPAL_SECOND;
  p.ack_random_percent = 200;
  p.max_retransmit = 2;
  p.max_latency = 10 * COPAL_SECOND;
  p.processing_delay = COPAL_SECOND;
  assert_int_equal(copal_params_check(&p), COPAL_OK);
  assert_int_equal(copal_max_transmit_span(&p), 6 * COPAL_SECOND);
  assert_int_equal(copal_max_transmit_wait(&p), 14 * COPAL_SECOND);
  assert_int_equal(copal_exchange_lifetime(&p), 27 * COPAL_SECOND);
  assert_int_equal(copal_non_lifetime(&p), 16 * COPAL_SECOND);
  p.max_latency = COPAL_SECOND; /* now the sender waits longer than a round trip */
  assert_int_equal(copal_exchange_lifetime(&p), 14 * COPAL_SECOND);
  p.max_retransmit = 0;
  assert_int_equal(copal_max_transmit_span(&p), 0);
  assert_int_equal(copal_max_transmit_wait(&p), 2 * COPAL_SECOND);
}

static void rfc7252_4_8_1_values_out_of_range_are_refused(void **state)
{
  (void)state;
  copal_params p = copal_params_default();
  p.ack_random_percent = 99;
  assert_int_equal(copal_params_check(&p), COPAL_EINVAL);
  p.ack_random_percent = 1001;
  assert_int_equal(copal_params_check(&p), COPAL_EINVAL);
  p = copal_params_default();
  p.max_retransmit = 21;
  assert_int_equal(copal_params_check(&p), COPAL_EINVAL);
  p = copal_params_default();
  p.nstart = 0;
  assert_int_equal(copal_params_check(&p), COPAL_EINVAL);
  p = copal_params_default();
  p.ack_delay = p.ack_timeout;
  assert_int_equal(copal_params_check(&p), COPAL_EINVAL);
  p = copal_params_default();
  p.ack_timeout = 0;
  assert_int_equal(copal_params_check(&p), COPAL_EINVAL);
}

static void derived_times_that_do_not_fit_are_refused(void **state)
{
  (void)state;
  copal_params p = copal_params_default();
  p.max_retransmit = 20;
  assert_int_equal(copal_max_transmit_span(&p), UINT32_MAX);
  assert_int_equal(copal_params_check(&p), COPAL_EINVAL);
  p = copal_params_default();
  p.max_latency = 2148 * COPAL_SECOND;
  assert_int_equal(copal_max_rtt(&p), UINT32_MAX);
  assert_int_equal(copal_params_check(&p), COPAL_EINVAL);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rfc7252_4_8_2_default_derived_times),
      cmocka_unit_test(rfc7252_4_8_2_times_follow_the_parameters),
      cmocka_unit_test(rfc7252_4_8_1_values_out_of_range_are_refused),
      cmocka_unit_test(derived_times_that_do_not_fit_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
