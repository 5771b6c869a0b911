# SPDX-License-Identifier: Apache-2.0
# Toolchain file: arm-none-eabi-gcc for cortex-m3.
set(COPAL_CPU cortex-m3)
include(${CMAKE_CURRENT_LIST_DIR}/CortexM.cmake)
