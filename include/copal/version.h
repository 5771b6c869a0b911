/* SPDX-License-Identifier: Apache-2.0 */
/* The version of libcopal, at compile time and at run time. */
#ifndef COPAL_VERSION_H
#define COPAL_VERSION_H

#include "copal/platform.h"

COPAL_BEGIN_DECLS

#define COPAL_VERSION_MAJOR 0
#define COPAL_VERSION_MINOR 1
#define COPAL_VERSION_PATCH 0
#define COPAL_VERSION       "0.1.0"

/* COPAL_VERSION of the library that is linked. */
COPAL_API const char *copal_version(void);

COPAL_END_DECLS

#endif
