/* SPDX-License-Identifier: Apache-2.0 */
/* A firmware for an emulated Cortex-M0 or M3 in which every instruction takes the same time: tells
 * by semihosting how many ticks of SysTick some turns of each piece of work take, and those of as
 * many known instructions as measure for it. tools/gates builds, runs and reads it. */
#include "../../bench/reference.h"

enum {
  TURNS = 1000,
  TICKS = 0xffffff, /* SysTick counts down in 24 bits */
};

/* SysTick, ARMv6-M and ARMv7-M Architecture Reference Manuals, section B3.3. */
enum { SYST_ENABLE = 1, SYST_PROCESSOR_CLOCK = 4, SYST_COUNTFLAG = 1 << 16 };
typedef struct systick {
  volatile uint32_t csr;
  volatile uint32_t rvr;
  volatile uint32_t cvr;
} systick;
#define SYSTICK ((systick *)0xe000e010)

/* Operations of semihosting and why the program ends. */
enum { SYS_WRITE0 = 0x04, SYS_EXIT_EXTENDED = 0x20, STOPPED_APPLICATION_EXIT = 0x20026 };

/* How it ends: tools/gates tells what these mean. */
enum { EXIT_OK = 0, EXIT_WRONG_RESULT = 1, EXIT_TOO_LONG = 2, EXIT_FAULT = 3 };

static void semihost(uint32_t operation, const void *argument)
{
  register uint32_t r0 __asm__("r0") = operation;
  register const void *r1 __asm__("r1") = argument;
  __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
}

static _Noreturn void leave(uint32_t status)
{
  const uint32_t block[2] = {STOPPED_APPLICATION_EXIT, status};
  for (;;)
    semihost(SYS_EXIT_EXTENDED, block);
}

/* Two instructions for each turn. */
static bool spin(unsigned turns)
{
  __asm__ volatile(".syntax unified\n1: subs %0, #1\n bne 1b" : "+l"(turns) : : "cc");
  return true;
}

static bool parse(unsigned turns)
{
  bool is_right = true;
  for (; turns > 0 && is_right; turns--)
    is_right = reference_parse();
  return is_right;
}

static bool serialise(unsigned turns)
{
  uint8_t out[REFERENCE_RESPONSE_SIZE] = {0};
  bool is_right = true;
  for (; turns > 0 && is_right; turns--)
    is_right = reference_serialise(out);
  return is_right && reference_is_response(out);
}

static uint32_t ticks_of(bool (*work)(unsigned), unsigned turns)
{
  SYSTICK->rvr = TICKS;
  SYSTICK->cvr = 0; /* any write clears it and COUNTFLAG; the next tick loads TICKS */
  SYSTICK->csr = SYST_ENABLE | SYST_PROCESSOR_CLOCK;
  while (SYSTICK->cvr == 0)
    ;
  const uint32_t begin = SYSTICK->cvr;
  const bool is_right = work(turns);
  const uint32_t end = SYSTICK->cvr;
  if ((SYSTICK->csr & SYST_COUNTFLAG) != 0)
    leave(EXIT_TOO_LONG);
  SYSTICK->csr = 0;
  if (!is_right)
    leave(EXIT_WRONG_RESULT);
  return begin - end;
}

/* Writes "name 0123abcd": what `turns` more turns take, so that calls and readings drop out. */
static void tell(const char *name, bool (*work)(unsigned), unsigned turns)
{
  char hex[] = " 00000000\n";
  const uint32_t once = ticks_of(work, turns);
  uint32_t ticks = ticks_of(work, 2 * turns) - once;
  for (char *p = hex + 8; p > hex; p--, ticks >>= 4)
    *p = "0123456789abcdef"[ticks & 15];
  semihost(SYS_WRITE0, name);
  semihost(SYS_WRITE0, hex);
}

_Noreturn void reset(void);
_Noreturn void reset(void)
{
  tell("spin", spin, 100 * TURNS);
  tell("parse", parse, TURNS);
  tell("serialise", serialise, TURNS);
  leave(EXIT_OK);
}

static _Noreturn void fault(void)
{
  leave(EXIT_FAULT);
}

/* The end of the stack, from the linker script. */
extern uint32_t stack_end[];

typedef struct vectors {
  const void *stack;
  void (*reset)(void);
  void (*nmi)(void);
  void (*hard_fault)(void);
} vectors;

__attribute__((section(".vectors"), used)) static const vectors table = {stack_end, reset, fault,
                                                                         fault};
