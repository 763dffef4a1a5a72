"""Prints a table."""
import os

from tabulate import tabulate

print(tabulate([["user", os.getuid()], ["folder", os.getcwd()]], tablefmt="plain"))
