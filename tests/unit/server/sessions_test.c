/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of what becomes of checkpoints that cannot be written, with shards that are not there. RFC
 * 6347 section 4.1: a number must not be used twice, whatever is on the disk. */
#include "server/sessions.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "copal/error.h"
#include "server/session_form.h"

static char dir[] = "/tmp/sessions_XXXXXX";
static conf configuration;
static secure_shared shared;
static logger quiet;
static sessions all;

/* ------------------------------------------------------------------------------------------------
 * the shards: all have answered, and are told what has become of the file */

static checkpoint_end told;
static unsigned times_told;
static bool is_whole;

bool checkpoint_open(checkpoint *c, uint32_t shards, copal_dur interval, const identities *known,
                     copal_time now)
{
  (void)shards, (void)now;
  *c = (checkpoint){.interval = interval, .known = known};
  return true;
}

void checkpoint_close(checkpoint *c)
{
  (void)c;
}

copal_time checkpoint_deadline(const checkpoint *c)
{
  (void)c;
  return COPAL_NEVER;
}

void checkpoint_hurry(checkpoint *c, copal_time now)
{
  (void)c, (void)now;
}

void checkpoint_begin(checkpoint *c, server *s, copal_time now)
{
  (void)c, (void)s, (void)now;
}

bool checkpoint_collected(checkpoint *c)
{
  (void)c;
  return true;
}

bool checkpoint_is_whole(const checkpoint *c)
{
  (void)c;
  return is_whole;
}

uint64_t checkpoint_put(checkpoint *c, state_writer *w)
{
  (void)c;
  state_put(w, copal_span_str("sessions"));
  return 1;
}

void checkpoint_finish(checkpoint *c, server *s, checkpoint_end end, copal_time now)
{
  (void)c, (void)s, (void)now;
  told = end;
  times_told++;
}

dtls_sessions *session_form_table(shard *owner)
{
  (void)owner;
  return NULL;
}

bool session_form_put(state_writer *w, shard *owner, const identities *known, dtls_session *s,
                      session_form_kind kind)
{
  (void)w, (void)owner, (void)known, (void)s, (void)kind;
  return false;
}

int session_form_restore(copal_rd *r, server *s, const session_form_owners *owners, uint64_t age_s)
{
  (void)s, (void)owners, (void)age_s;
  (void)copal_rd_span(r, r->left);
  return COPAL_OK;
}

uint32_t server_shard_count(const server *s)
{
  (void)s;
  return 0;
}

shard *server_shard(server *s, uint32_t index)
{
  (void)s, (void)index;
  return NULL;
}

secure *shard_secure(shard *s)
{
  (void)s;
  return NULL;
}

void secure_inherit(secure *s)
{
  (void)s;
}

/* ------------------------------------------------------------------------------------------------
 * checkpoints */

static const char *path_of(const char *name)
{
  static char path[64];
  snprintf(path, sizeof path, "%s/%s", dir, name);
  return path;
}

/* All shards have answered once more. */
static checkpoint_end save(void)
{
  const shard_report saved = {.kind = SHARD_HAS_SAVED};
  const unsigned before = times_told;
  all.hook.on_report(&all.hook, NULL, &saved, 0);
  assert_int_equal(times_told, before + 1);
  return told;
}

/* Nothing can be written to that name, nor can it be removed. */
static void block(const char *name)
{
  (void)unlink(path_of(name));
  assert_int_equal(mkdir(path_of(name), 0700), 0);
}

static void unblock(const char *name)
{
  assert_int_equal(rmdir(path_of(name)), 0);
}

static void rfc6347_4_1_first_checkpoint_that_may_be_on_the_disk_binds(void **state)
{
  (void)state;
  block("sessions");
  assert_int_equal(save(), CHECKPOINT_WRITTEN); /* nobody knows: its numbers are not used */
  assert_int_equal(save(), CHECKPOINT_FAILED);  /* as those of the first one */
  unblock("sessions");
  assert_int_equal(save(), CHECKPOINT_WRITTEN);
}

static void rfc6347_4_1_checkpoint_before_binds_while_it_cannot_be_removed(void **state)
{
  (void)state;
  assert_int_equal(save(), CHECKPOINT_WRITTEN);
  block("sessions");
  assert_int_equal(save(), CHECKPOINT_FAILED);
  unblock("sessions");
}

static void checkpoint_that_was_removed_binds_nobody(void **state)
{
  (void)state;
  assert_int_equal(save(), CHECKPOINT_WRITTEN);
  block("sessions.new");
  assert_int_equal(save(), CHECKPOINT_GONE);
  assert_int_not_equal(access(path_of("sessions"), F_OK), 0);
  assert_int_equal(save(), CHECKPOINT_GONE);
  unblock("sessions.new");
  assert_int_equal(save(), CHECKPOINT_WRITTEN);
}

static void checkpoint_that_lacks_sessions_is_not_written(void **state)
{
  (void)state;
  is_whole = false;
  assert_int_equal(save(), CHECKPOINT_FAILED);
  assert_int_not_equal(access(path_of("sessions"), F_OK), 0);
}

static void file_of_another_version_restores_nothing(void **state)
{
  char why[SEALED_WHY_SIZE];
  uint8_t bytes[SEALED_HEAD_SIZE + 256 + SEALED_TAG_SIZE] = {0}; /* says 0: a form from before */
  (void)state;
  assert_true(sealed_write(&all.file, (copal_mspan){bytes, sizeof bytes}, why) > 0);
  all.hook.restore(&all.hook, NULL);
  assert_int_equal(all.restored, 0);
  assert_int_not_equal(access(path_of("sessions"), F_OK), 0);
  assert_int_equal(save(), CHECKPOINT_WRITTEN);
  all.hook.restore(&all.hook, NULL);
  assert_int_equal(all.restored, 1);
}

static int make_sessions(void **state)
{
  const sessions_parts parts = {.conf = &configuration, .shared = &shared, .log = &quiet};
  (void)state;
  strcpy(dir, "/tmp/sessions_XXXXXX");
  if (mkdtemp(dir) == NULL)
    return -1;
  conf_init(&configuration);
  strcpy(configuration.data, dir);
  configuration.dtls.after_crash = CONF_CRASH_CHALLENGE;
  log_init(&quiet, open("/dev/null", O_WRONLY | O_CLOEXEC), LOG_LEVEL_ERROR, LOG_FORMAT_JSON);
  is_whole = true;
  sessions_init(&all, &parts);
  return 0;
}

static int remove_sessions(void **state)
{
  (void)state;
  sessions_wipe(&all);
  close(quiet.fd);
  conf_wipe(&configuration);
  (void)unlink(path_of("sessions"));
  (void)unlink(path_of("sessions.key"));
  return rmdir(dir);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(rfc6347_4_1_first_checkpoint_that_may_be_on_the_disk_binds,
                                      make_sessions, remove_sessions),
      cmocka_unit_test_setup_teardown(
          rfc6347_4_1_checkpoint_before_binds_while_it_cannot_be_removed, make_sessions,
          remove_sessions),
      cmocka_unit_test_setup_teardown(checkpoint_that_was_removed_binds_nobody, make_sessions,
                                      remove_sessions),
      cmocka_unit_test_setup_teardown(checkpoint_that_lacks_sessions_is_not_written, make_sessions,
                                      remove_sessions),
      cmocka_unit_test_setup_teardown(file_of_another_version_restores_nothing, make_sessions,
                                      remove_sessions),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
