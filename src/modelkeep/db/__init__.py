"""The database: statements, transactions, and the two kinds that run them."""

from modelkeep.db.engine import Database
from modelkeep.db.statements import Prepared
from modelkeep.db.tx import Listener, Tx

__all__ = ["Database", "Listener", "Prepared", "Tx"]
