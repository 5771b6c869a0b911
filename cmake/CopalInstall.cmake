# SPDX-License-Identifier: Apache-2.0
# What is installed beside the programs: libcopal with headers, pkg-config and CMake package files,
# man pages, completions, the systemd unit and the sample configuration.
include(CMakePackageConfigHelpers)

install(
  DIRECTORY include/copal
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
  FILES_MATCHING
  PATTERN "*.h")

if(TARGET copal_shared)
  install(
    TARGETS copal_shared copal_static
    EXPORT copalTargets
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})

  set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/copal)
  install(
    EXPORT copalTargets
    NAMESPACE copal::
    DESTINATION ${package_dir})
  configure_package_config_file(cmake/copalConfig.cmake.in copalConfig.cmake
                                INSTALL_DESTINATION ${package_dir})
  write_basic_package_version_file(copalConfigVersion.cmake COMPATIBILITY SameMinorVersion)
  install(FILES ${PROJECT_BINARY_DIR}/copalConfig.cmake ${PROJECT_BINARY_DIR}/copalConfigVersion.cmake
          DESTINATION ${package_dir})

  # Relative to where copal.pc lies, so that the tree may be moved or staged.
  file(RELATIVE_PATH COPAL_PC_TO_PREFIX /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
  configure_file(cmake/copal.pc.in copal.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/copal.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endif()

foreach(section 1 5 8)
  file(GLOB pages CONFIGURE_DEPENDS docs/man/*.${section})
  if(pages)
    install(FILES ${pages} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
  endif()
endforeach()

# install_if_there(file directory name): files that come with the program they belong to.
function(install_if_there file directory name)
  if(EXISTS ${PROJECT_SOURCE_DIR}/${file})
    install(
      FILES ${file}
      DESTINATION ${directory}
      RENAME ${name})
  endif()
endfunction()
set(share ${CMAKE_INSTALL_DATADIR})
install_if_there(packaging/completion/copal.bash ${share}/bash-completion/completions copal)
install_if_there(packaging/completion/_copal ${share}/zsh/vendor-completions _copal)
install_if_there(packaging/completion/copal.fish ${share}/fish/vendor_completions.d copal.fish)
install_if_there(packaging/copald.conf ${CMAKE_INSTALL_SYSCONFDIR}/copal copald.conf)

set(SERVICE_CALLS "@system-service") # an @ that is not ours to fill
configure_file(packaging/copald.service.in copald.service @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/copald.service DESTINATION lib/systemd/system)
