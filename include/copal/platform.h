/* SPDX-License-Identifier: Apache-2.0 */
/* What differs between compilers and platforms: symbol visibility. The only place of libcopal with
 * conditionals that are not include guards. */
#ifndef COPAL_PLATFORM_H
#define COPAL_PLATFORM_H

#if defined(__GNUC__) || defined(__clang__)
#define COPAL_API __attribute__((visibility("default")))
#else
#define COPAL_API
#endif

#ifdef __cplusplus
#define COPAL_BEGIN_DECLS extern "C" {
#define COPAL_END_DECLS   }
#else
#define COPAL_BEGIN_DECLS
#define COPAL_END_DECLS
#endif

#endif
