# SPDX-License-Identifier: Apache-2.0
# Functions that register tests. Labels: unit sim rfc interop net gates fuzz examples bench.
# Exit status 77 means skipped: the test could not run and its last output line says why.
if(COPAL_TESTS)
  pkg_check_modules(CMOCKA REQUIRED IMPORTED_TARGET cmocka)
  # A second implementation of what crypto and DTLS records do; nothing that is installed uses it.
  pkg_check_modules(LIBCRYPTO REQUIRED IMPORTED_TARGET libcrypto)
  find_package(Python3 REQUIRED COMPONENTS Interpreter)
endif()

set(COPAL_TEST_ENV
    "ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1"
    "UBSAN_OPTIONS=print_stacktrace=1"
    "COPAL_SOURCE_DIR=${PROJECT_SOURCE_DIR}"
    "COPAL_BUILD_DIR=${PROJECT_BINARY_DIR}")

function(copal_test_properties name label timeout)
  set_tests_properties(${name} PROPERTIES LABELS ${label} TIMEOUT ${timeout} SKIP_RETURN_CODE 77
                                          ENVIRONMENT "${COPAL_TEST_ENV}")
endfunction()

# copal_test_program(label name file libs...)
# A cmocka program; registered as "label/name".
function(copal_test_program label name file)
  string(REPLACE "/" "_" target ${label}_${name})
  add_executable(${target} ${file})
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  target_link_libraries(${target} PRIVATE copal_hosted ${ARGN} PkgConfig::CMOCKA)
  # cmocka's macros cast pointers to integers of another width and shadow; that is not our code.
  target_compile_options(${target} PRIVATE -Wno-conversion)
  add_test(NAME ${label}/${name} COMMAND ${target})
  copal_test_properties(${label}/${name} ${label} 600)
endfunction()

# copal_unit_test(name file libs...)
function(copal_unit_test name file)
  copal_test_program(unit ${name} ${file} ${ARGN})
endfunction()

# copal_script_test(label name command...)
# A script; it finds the tree in COPAL_SOURCE_DIR and the programs in COPAL_BUILD_DIR.
function(copal_script_test label name)
  add_test(NAME ${label}/${name} COMMAND ${ARGN} WORKING_DIRECTORY ${PROJECT_BINARY_DIR})
  copal_test_properties(${label}/${name} ${label} 1200)
endfunction()

# copal_fuzz_target(name file libs...)
# A harness that defines LLVMFuzzerTestOneInput(): fuzz_name, either with libFuzzer, or with the
# replay main and a test that runs the corpus fuzz/corpus/name.
function(copal_fuzz_target name file)
  if(COPAL_FUZZ)
    add_executable(fuzz_${name} ${file})
    target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
  else()
    add_executable(fuzz_${name} ${file} ${PROJECT_SOURCE_DIR}/fuzz/replay.c)
    add_test(NAME fuzz/${name} COMMAND fuzz_${name} ${PROJECT_SOURCE_DIR}/fuzz/corpus/${name})
    copal_test_properties(fuzz/${name} fuzz 600)
  endif()
  target_link_libraries(fuzz_${name} PRIVATE copal_hosted ${ARGN})
endfunction()
