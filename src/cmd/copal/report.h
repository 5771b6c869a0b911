/* SPDX-License-Identifier: Apache-2.0 */
/* What is told about a finished request: exit status, message, headers, JSON, --write-out. */
#ifndef COPAL_CMD_REPORT_H
#define COPAL_CMD_REPORT_H

#include "cmd/copal/args.h"
#include "cmd/copal/buf.h"
#include "cmd/copal/status.h"
#include "cmd/copal/style.h"
#include "cmd/copal/target.h"
#include "cmd/copal/transfer.h"

/* A finished request with all that is known of it. */
typedef struct report {
  const args *args;
  const target *target;
  const transfer_result *result;
  const copal_path *path; /* where it was sent last */
  size_t upload_size;     /* bytes */
  status status;
  buf error; /* the message for people, empty with STATUS_OK */
} report;

/* The exit status of a result. */
status report_status(const transfer_result *r);

/* Writes the message about a result that is not a success: "4.04 Not Found: no such resource". */
void report_error(const transfer_result *r, const target *t, const copal_path *path, buf *out);

/* "2.05 Content" and a line for each option. */
void report_headers(const reply *r, const style *s, buf *out);

/* One JSON object and a line break. */
void report_json(const report *r, buf *out);

/* The members of that object that are about the response. */
void report_response_json(const report *r, buf *out);

/* Fills a --write-out format in: %{name}, %%, \n, \t, \r, \\. Unknown names stay as they are. */
void report_write_out(const report *r, const char *format, buf *out);

/* The Content-Format option, or MEDIA_NONE. */
int32_t report_content_format(const reply *r);

/* "2.05", or "2.05 Content" with the name. */
void report_code(copal_code code, bool with_name, buf *out);

#endif
