from .pipeline import create_pipeline, of_one_engine

__all__ = ["create_pipeline", "of_one_engine"]
