# SPDX-License-Identifier: Apache-2.0
# What is installed beside the programs: headers.
install(DIRECTORY include/copal DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING
        PATTERN "*.h")
