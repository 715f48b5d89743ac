"""What blocks of pages need beside bash, by the name in <!-- needs: NAME -->."""

from .image_builder import ImageBuilder
from .kubernetes import Kubernetes
from .nginx import Nginx
from .s3 import S3
from .standalone_cluster import StandaloneCluster

SERVICES = {
    "an image builder": ImageBuilder,
    "a Kubernetes cluster": Kubernetes,
    "nginx": Nginx,
    "S3": S3,
    "a standalone cluster": StandaloneCluster,
}
