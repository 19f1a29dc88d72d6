"""The command line, called in this process as a user calls it."""

from mmkd_core.__main__ import main


def call(capsys, *arguments):
    """(exit status, standard output, standard error)"""
    try:
        status = main([str(argument) for argument in arguments])
    except SystemExit as stop:
        status = stop.code
    said = capsys.readouterr()
    return status, said.out, said.err
