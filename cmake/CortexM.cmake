# SPDX-License-Identifier: Apache-2.0
# What the bare Cortex-M toolchain files share. Set COPAL_CPU before including it.
set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_SYSTEM_PROCESSOR arm)
set(CMAKE_C_COMPILER arm-none-eabi-gcc)
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
set(CMAKE_C_FLAGS_INIT "-mcpu=${COPAL_CPU} -mthumb -ffreestanding -fstack-usage")
