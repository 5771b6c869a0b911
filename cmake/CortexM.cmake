# SPDX-License-Identifier: Apache-2.0
# What the bare Cortex-M toolchain files share. Set COPAL_CPU before including it, and COPAL_FEW_BYTES:
# up to how many bytes are copied in place, which goes by the memcpy() of newlib-nano for the CPU.
set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_SYSTEM_PROCESSOR arm)
set(CMAKE_C_COMPILER arm-none-eabi-gcc)
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
set(CMAKE_C_FLAGS_INIT "-mcpu=${COPAL_CPU} -mthumb -ffreestanding -fstack-usage -DCOPAL_FEW_BYTES=${COPAL_FEW_BYTES}")
