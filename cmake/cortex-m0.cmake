# SPDX-License-Identifier: Apache-2.0
# Toolchain file: arm-none-eabi-gcc for cortex-m0plus.
set(COPAL_CPU cortex-m0plus)
set(COPAL_FEW_BYTES SIZE_MAX) # memcpy() is a loop of bytes, of six instructions each
include(${CMAKE_CURRENT_LIST_DIR}/CortexM.cmake)
