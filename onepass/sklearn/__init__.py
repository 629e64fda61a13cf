"""Estimators for scikit-learn that are trained by compiled kernels.

    from onepass.sklearn import MLPClassifier

    clf = MLPClassifier(random_state=0).fit(X, y)  # the loss curve of sklearn.neural_network.MLPClassifier

They work wherever scikit-learn takes an estimator: in pipelines, searches and cross-validation, with pandas,
pickle and joblib. This module needs scikit-learn (`pip install 'onepass[sklearn]'`) and is imported only when
asked for.
"""

from .classifiers import MLPClassifier
from .linear import LinearSVMClassifier, SoftmaxClassifier
from .regressors import MLPRegressor

__all__ = ["LinearSVMClassifier", "MLPClassifier", "MLPRegressor", "SoftmaxClassifier"]
