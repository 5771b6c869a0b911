/* SPDX-License-Identifier: Apache-2.0 */
/* Conditional query parameters. draft-ietf-core-conditional-attributes-12 section 3. */
#include "service/conditions.h"

#include <stdlib.h>
#include <string.h>

#include "copal/option.h"
#include "copal/registry.h"

enum {
  NUMERIC = CONDITIONS_GT | CONDITIONS_LT | CONDITIONS_ST | CONDITIONS_BAND,
  LIMITS = CONDITIONS_GT | CONDITIONS_LT,
  NOTIFYING = NUMERIC | CONDITIONS_EDGE, /* the others control when, not whether */
  DECIMAL_SIZE = 64,                     /* characters of a value, with the NUL */
};

#define PERIOD_MAX_S 4294967295.0 /* 136 years: as good as never */

typedef enum kind {
  DECIMAL,  /* xs:decimal */
  POSITIVE, /* xs:decimal above 0 */
  PERIOD,   /* seconds, above 0 */
  TRUTH,    /* xs:boolean */
  BARE,     /* no value */
} kind;

typedef struct rule {
  const char *name;
  unsigned bit;
  kind kind;
  size_t offset; /* in conditions */
} rule;

/* Section 3, tables 1 and 2. */
static const rule rules[] = {
    {"c.gt", CONDITIONS_GT, DECIMAL, offsetof(conditions, gt)},
    {"c.lt", CONDITIONS_LT, DECIMAL, offsetof(conditions, lt)},
    {"c.st", CONDITIONS_ST, POSITIVE, offsetof(conditions, st)},
    {"c.band", CONDITIONS_BAND, BARE, 0},
    {"c.edge", CONDITIONS_EDGE, TRUTH, offsetof(conditions, edge)},
    {"c.pmin", CONDITIONS_PMIN, PERIOD, offsetof(conditions, pmin)},
    {"c.pmax", CONDITIONS_PMAX, PERIOD, offsetof(conditions, pmax)},
    {"c.epmin", CONDITIONS_EPMIN, PERIOD, offsetof(conditions, epmin)},
    {"c.epmax", CONDITIONS_EPMAX, PERIOD, offsetof(conditions, epmax)},
    {"c.con", CONDITIONS_CON, TRUTH, offsetof(conditions, con)},
};

/* ------------------------------------------------------------------------------------------------
 * parsing */

static bool is_bad(problem *why, const char *name, const char *reason)
{
  problem_set(why, COPAL_CODE_BAD_REQUEST, "%s: %s", name, reason);
  return false;
}

/* xs:decimal: a sign, digits, a point; no exponent. The draft's examples put some values into
 * quotation marks, so these are taken off. */
static bool read_decimal(copal_span value, double *number)
{
  char text[DECIMAL_SIZE];
  if (value.len >= 2 && value.ptr[0] == '"' && value.ptr[value.len - 1] == '"')
    value = copal_span_of(value.ptr + 1, value.len - 2);
  if (value.len == 0 || value.len >= sizeof text)
    return false;
  memcpy(text, value.ptr, value.len);
  text[value.len] = '\0';
  const char *at = text + (text[0] == '+' || text[0] == '-');
  const size_t whole = strspn(at, "0123456789");
  const size_t point = at[whole] == '.';
  const size_t part = point ? strspn(at + whole + 1, "0123456789") : 0;
  if (whole + part == 0 || at + whole + point + part != text + value.len)
    return false;
  *number = strtod(text, NULL);
  return true;
}

/* xs:boolean. */
static bool read_truth(copal_span value, bool *truth)
{
  *truth = copal_span_is_equal(value, copal_span_str("1")) ||
           copal_span_is_equal(value, copal_span_str("true"));
  return *truth || copal_span_is_equal(value, copal_span_str("0")) ||
         copal_span_is_equal(value, copal_span_str("false"));
}

/* Rounded up to a microsecond. */
static copal_time period_of(double seconds)
{
  const double us = (seconds < PERIOD_MAX_S ? seconds : PERIOD_MAX_S) * COPAL_SECOND;
  const copal_time whole = (copal_time)us;
  return (double)whole < us ? whole + 1 : whole;
}

static bool take_number(conditions *c, const rule *r, copal_span value, problem *why)
{
  double number;
  if (!read_decimal(value, &number))
    return is_bad(why, r->name, "the value must be a decimal number, such as 21.5");
  if (r->kind != DECIMAL && number <= 0)
    return is_bad(why, r->name, "the value must be greater than zero");
  if (r->kind == PERIOD)
    *(copal_time *)(void *)((char *)c + r->offset) = period_of(number);
  else
    *(double *)(void *)((char *)c + r->offset) = number;
  return true;
}

static bool take(conditions *c, const rule *r, bool has_value, copal_span value, problem *why)
{
  if ((c->present & r->bit) != 0)
    return is_bad(why, r->name, "given twice");
  c->present |= r->bit;
  if (r->kind == BARE)
    return !has_value || is_bad(why, r->name, "takes no value");
  if (!has_value)
    return is_bad(why, r->name, "needs a value");
  if (r->kind != TRUTH)
    return take_number(c, r, value, why);
  return read_truth(value, (bool *)((char *)c + r->offset)) ||
         is_bad(why, r->name, "the value must be 0 or 1");
}

static const rule *find_rule(copal_span name)
{
  for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
    if (copal_span_is_equal(name, copal_span_str(rules[i].name)))
      return &rules[i];
  return NULL;
}

static bool take_query(conditions *c, copal_span query, problem *why)
{
  if (query.len < 2 || memcmp(query.ptr, "c.", 2) != 0)
    return true;
  const uint8_t *equals = memchr(query.ptr, '=', query.len);
  const copal_span name =
      copal_span_of(query.ptr, equals != NULL ? (size_t)(equals - query.ptr) : query.len);
  const copal_span value =
      equals != NULL ? copal_span_of(equals + 1, query.len - name.len - 1) : copal_span_none();
  const rule *r = find_rule(name);
  if (r == NULL) {
    problem_set(why, COPAL_CODE_BAD_REQUEST,
                "Unknown conditional parameter; known are c.gt, c.lt, c.st, c.band, c.edge, "
                "c.pmin, c.pmax, c.epmin, c.epmax, c.con");
    return false;
  }
  return take(c, r, equals != NULL, value, why);
}

static bool has(const conditions *c, unsigned bits)
{
  return (c->present & bits) == bits;
}

static bool is_consistent(const conditions *c, problem *why)
{
  if (has(c, CONDITIONS_BAND) && (c->present & LIMITS) == 0)
    return is_bad(why, "c.band", "needs c.gt, c.lt or both");
  if (has(c, CONDITIONS_EDGE) && (c->present & NUMERIC) != 0)
    return is_bad(why, "c.edge", "is for boolean values, the other conditions are for numbers");
  if (has(c, CONDITIONS_PMIN | CONDITIONS_PMAX) && c->pmax < c->pmin)
    return is_bad(why, "c.pmax", "must not be less than c.pmin");
  if (has(c, CONDITIONS_EPMIN | CONDITIONS_EPMAX) && c->epmax <= c->epmin)
    return is_bad(why, "c.epmax", "must be greater than c.epmin");
  return true;
}

bool conditions_parse(conditions *c, copal_span options, problem *why)
{
  *c = (conditions){.present = 0};
  copal_opt_iter it = copal_opt_iter_init(options);
  for (copal_opt opt; copal_opt_next(&it, &opt);)
    if (opt.number == COPAL_OPT_URI_QUERY && !take_query(c, opt.value, why))
      return false;
  return is_consistent(c, why);
}

bool conditions_suit(const conditions *c, const conditions_value *v, problem *why)
{
  if ((c->present & NUMERIC) != 0 && !v->is_number)
    return is_bad(why, "c.gt, c.lt, c.st, c.band",
                  "the representation is not a number (text, JSON, or SenML of one record)");
  if (has(c, CONDITIONS_EDGE) && !v->is_truth)
    return is_bad(why, "c.edge",
                  "the representation is not boolean (text, JSON, or SenML of one record)");
  return true;
}

bool conditions_are_welcome(const conditions *c)
{
  return (!has(c, CONDITIONS_PMAX) || c->pmax >= CONDITIONS_PERIOD_MIN) &&
         (!has(c, CONDITIONS_EPMAX) || c->epmax >= CONDITIONS_PERIOD_MIN);
}

/* ------------------------------------------------------------------------------------------------
 * deciding */

/* Section 3.5.4: with one limit the band is open on the other side. */
static bool is_in_band(const conditions *c, double v)
{
  if (!has(c, CONDITIONS_GT))
    return v >= c->lt;
  if (!has(c, CONDITIONS_LT))
    return v <= c->gt;
  return c->gt <= c->lt ? c->gt <= v && v <= c->lt : v > c->gt || v < c->lt;
}

/* Sections 3.5.1 to 3.5.4: any of the conditions is enough. */
static bool is_number_met(const conditions *c, double v, double reported)
{
  const double step = v > reported ? v - reported : reported - v;
  if (has(c, CONDITIONS_ST) && step >= c->st)
    return true;
  if (has(c, CONDITIONS_BAND))
    return is_in_band(c, v);
  if (has(c, CONDITIONS_GT) && (v > c->gt) != (reported > c->gt))
    return true;
  return has(c, CONDITIONS_LT) && (v < c->lt) != (reported < c->lt);
}

static bool is_met(const conditions_state *s, const conditions_value *v)
{
  const conditions *c = &s->asked;
  if ((c->present & NOTIFYING) == 0)
    return s->is_owed || s->is_changed;
  if (has(c, CONDITIONS_EDGE)) {
    if (!v->is_truth)
      return s->is_owed || s->is_changed; /* no value any more: better to say so */
    const bool was_there = s->sampled.is_truth && s->sampled.truth == c->edge;
    return v->truth == c->edge && (s->is_owed || !was_there);
  }
  if (!v->is_number || !s->reported.is_number)
    return s->is_owed || s->is_changed;
  return is_number_met(c, v->number, s->reported.number);
}

static void evaluate(conditions_state *s, const conditions_value *v, copal_time now)
{
  s->is_owed = is_met(s, v);
  s->sampled = *v;
  s->sampled_at = now;
  s->is_changed = false;
}

void conditions_reported(conditions_state *s, const conditions_value *v, copal_time now)
{
  s->reported = *v;
  s->reported_at = now;
  s->sampled = *v;
  s->is_owed = false;
  s->is_changed = false;
}

void conditions_begin(conditions_state *s, const conditions *c, const conditions_value *v,
                      copal_time now)
{
  *s = (conditions_state){.asked = *c, .sampled_at = now};
  conditions_reported(s, v, now);
}

static copal_time sooner(copal_time a, copal_time b)
{
  return a < b ? a : b;
}

static copal_time next_instant(const conditions_state *s)
{
  const conditions *c = &s->asked;
  copal_time at = COPAL_NEVER;
  if (s->is_owed)
    at = sooner(at, s->reported_at + c->pmin);
  if (s->is_changed)
    at = sooner(at, s->sampled_at + c->epmin);
  if (has(c, CONDITIONS_EPMAX))
    at = sooner(at, s->sampled_at + c->epmax);
  if (has(c, CONDITIONS_PMAX))
    at = sooner(at, s->reported_at + c->pmax);
  return at;
}

bool conditions_judge(conditions_state *s, const conditions_value *v, bool is_changed,
                      copal_time now, copal_time *again)
{
  const conditions *c = &s->asked;
  s->is_changed |= is_changed;
  if ((s->is_changed && now >= s->sampled_at + c->epmin) ||
      (has(c, CONDITIONS_EPMAX) && now >= s->sampled_at + c->epmax))
    evaluate(s, v, now);
  const bool is_due = (s->is_owed && now >= s->reported_at + c->pmin) ||
                      (has(c, CONDITIONS_PMAX) && now >= s->reported_at + c->pmax);
  if (is_due)
    conditions_reported(s, v, now);
  *again = next_instant(s);
  return is_due;
}
