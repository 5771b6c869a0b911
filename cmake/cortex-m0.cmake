# SPDX-License-Identifier: Apache-2.0
# Toolchain file: arm-none-eabi-gcc for cortex-m0plus.
set(COPAL_CPU cortex-m0plus)
include(${CMAKE_CURRENT_LIST_DIR}/CortexM.cmake)
# newlib-nano's memcpy() for this CPU is a loop of six instructions for each byte.
add_compile_definitions(COPAL_FEW_BYTES=SIZE_MAX)
