# SPDX-License-Identifier: Apache-2.0
# Functions that make the libraries and programs of the tree; every target gets the same flags.

# copal_flags: warnings, include directories and sanitizers, for every target of the tree.
add_library(copal_flags INTERFACE)
target_include_directories(copal_flags INTERFACE ${PROJECT_SOURCE_DIR}/include
                                                 ${PROJECT_SOURCE_DIR}/src)
target_compile_options(
  copal_flags
  INTERFACE -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wstrict-prototypes
            $<$<C_COMPILER_ID:Clang>:-Wno-string-conversion> # assert(!"reason")
            -ffunction-sections -fdata-sections)
if(COPAL_SANITIZE)
  target_compile_options(copal_flags INTERFACE -fsanitize=${COPAL_SANITIZE}
                                               -fno-sanitize-recover=all)
  target_link_options(copal_flags INTERFACE -fsanitize=${COPAL_SANITIZE})
endif()
if(COPAL_FUZZ)
  target_compile_options(copal_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(NOT COPAL_CORE_ONLY)
  # Outside the core the sources need POSIX and Linux interfaces.
  add_library(copal_hosted INTERFACE)
  target_compile_definitions(copal_hosted INTERFACE _GNU_SOURCE)
  target_link_libraries(copal_hosted INTERFACE copal_flags)
endif()

# copal_library(name SOURCES file... LINK target...)
# A static library of the daemon. A directory without sources yields an interface library, so that
# those who link it need not know.
function(copal_library name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINK" ${ARGN})
  if(arg_SOURCES)
    add_library(${name} STATIC ${arg_SOURCES})
    target_link_libraries(${name} PUBLIC copal_hosted ${arg_LINK})
  else()
    add_library(${name} INTERFACE)
    target_link_libraries(${name} INTERFACE copal_hosted ${arg_LINK})
  endif()
endfunction()

# copal_program(name SOURCES file... LINK target...)
# An installed program, built as <build directory>/name.
function(copal_program name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINK" ${ARGN})
  if(NOT arg_SOURCES)
    return()
  endif()
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE copal_hosted ${arg_LINK})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}
                                           POSITION_INDEPENDENT_CODE ON)
  target_link_options(${name} PRIVATE LINKER:-z,relro,-z,now)
  install(TARGETS ${name} RUNTIME)
endfunction()
